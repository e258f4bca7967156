"""Tables of a comparison that come from its run.json, and the faces to look at."""

from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.report.rounded import setting_of
from prefiqs_jax.statistics import with_derived

if TYPE_CHECKING:
    import pandas as pd

WORST = 6
"""Faces of a mask that are shown."""
NEAR = 0.4
"""The faces are those at the mean drift that the reference has nearest to here."""


def delta_norms_of(manifest: dict[str, Any]) -> dict[tuple[str, float], float]:
    """Give ‖δ‖ / ‖θ‖ by mask and sparsity; empty if the run did not record it."""
    return dict(
        zip(_points(manifest), manifest.get("delta_norm_relative") or [], strict=False)
    )


def layer_table(manifest: dict[str, Any]) -> "pd.DataFrame":
    """Tabulate what each layer loses, by mask and sparsity.

    Columns mask, sparsity, layer, size, achieved_sparsity and delta_norm_relative (‖δ‖
    / ‖θ‖ of the layer), in the order of run.json.
    """
    import pandas as pd

    lines = []
    for layer in manifest.get("layers") or []:
        numbers = zip(
            _points(manifest),
            layer["achieved_sparsity"],
            layer["delta_norm_relative"],
            strict=True,
        )
        for (mask, sparsity), *rest in numbers:
            lines.append((mask, sparsity, layer["name"], layer["size"], *rest))
    columns = ["mask", "sparsity", "layer", "size"]
    columns += ["achieved_sparsity", "delta_norm_relative"]
    return pd.DataFrame(lines, columns=columns)


def emptied_layers(layers: "pd.DataFrame") -> list[tuple[str, float, list[str]]]:
    """List mask, sparsity and the layers that lose all their weights there."""
    gone = layers.loc[layers["achieved_sparsity"] >= 1]
    return [
        (str(mask), float(sparsity), part["layer"].tolist())
        for (mask, sparsity), part in gone.groupby(["mask", "sparsity"], sort=False)
    ]


def overlap_table(manifest: dict[str, Any]) -> "pd.DataFrame":
    """Tabulate the overlap of masks, see :func:`prefiqs_jax.masks.overlap.overlaps`."""
    import pandas as pd

    columns = ["mask", "other", "sparsity", "jaccard", "by_chance"]
    table = pd.DataFrame(manifest.get("overlaps") or [], columns=columns)
    return table.astype({name: float for name in columns[2:]})


def worst_faces(
    rows: "pd.DataFrame", masks: "pd.DataFrame", reference: str, rounding: float
) -> "pd.DataFrame":
    """Take the images whose change the first order misses most, for each mask.

    At the sparsity at which a mask's mean drift is nearest (in ratio) to that of the
    reference at its sparsity nearest to 0.4: at equal sparsity, masks that move
    embeddings farther would look worse for that alone. Of degraded copies the worst are
    those that show least, so only clean images are taken where severities are known.

    Parameters
    ----------
    rows
        Rows of the run, perhaps with a column severity.
    masks
        Table of :class:`prefiqs_jax.statistics.MaskComparison`.
    reference, rounding
        As for :func:`prefiqs_jax.statistics.compare_masks`.

    Returns
    -------
    pandas.DataFrame
        Columns mask, sparsity, rank (from 1), image, identity, relative_residual,
        drift, first_order; at most :data:`WORST` a mask.
    """
    import pandas as pd

    moved = masks.loc[masks["mean_drift"] > 0]
    own = moved.loc[moved["mask"] == reference]
    if not len(own):
        own = moved
    columns = ["mask", "sparsity", "rank", "image", "identity"]
    columns += ["relative_residual", "drift", "first_order"]
    if not len(own):
        return pd.DataFrame(columns=columns)
    nearest = np.argmin(np.abs(own["sparsity"].to_numpy(np.float64) - NEAR))
    target = float(own["mean_drift"].iloc[nearest])
    derived = with_derived(rows, rounding)
    if "severity" in derived and 0 in derived["severity"].tolist():
        derived = derived.loc[derived["severity"] == 0]
    parts = []
    for mask, levels in moved.groupby("mask", sort=False):
        away = np.abs(np.log(levels["mean_drift"].to_numpy(np.float64) / target))
        sparsity = levels["sparsity"].iloc[int(np.argmin(away))]
        chosen = derived.loc[
            (derived["mask"] == mask)
            & (derived["sparsity"] == sparsity)
            & derived["relative_residual"].notna()
        ]
        chosen = chosen.sort_values(
            ["relative_residual", "image"], ascending=[False, True], kind="stable"
        ).iloc[:WORST]
        parts.append(chosen.assign(rank=range(1, len(chosen) + 1))[columns])
    return pd.concat(parts, ignore_index=True)


def _points(manifest: dict[str, Any]) -> list[tuple[str, float]]:
    sparsities = setting_of(manifest, "sparsities") or []
    return list(zip(manifest.get("masks") or [], sparsities, strict=True))
