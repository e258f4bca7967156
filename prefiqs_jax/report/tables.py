"""Tables of a report: every number that a figure shows."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.report.rounded import rounding_of, setting_of
from prefiqs_jax.statistics import (
    quantiles,
    reach,
    summarise,
    with_derived,
)

if TYPE_CHECKING:
    import pandas as pd

LAYER_COLUMNS = ("layer", "size", "sparsity", "achieved_sparsity")
_NORMS = ("delta_norm", "delta_norm_relative")


def run_tables(
    rows: "pd.DataFrame",
    known: "pd.DataFrame",
    manifest: dict[str, Any],
    on_progress: Callable[[int], object] | None = None,
    strata: Sequence[str] = (),
) -> "dict[str, pd.DataFrame]":
    """Make the tables that the figures of a run are drawn from.

    Rows are those of one network and mask, `known` the same with what is known of the
    images (see :func:`prefiqs_jax.results.with_image_columns`), and the manifest is
    ``run.json``. Gives the tables statistics, quantiles, reach (of all images, then
    within `strata`; none of a change that is no mask), images, mask and layers (may be
    empty); calls `on_progress` with 1 after each sparsity.
    """
    rounding = rounding_of(manifest)
    is_change = setting_of(manifest, "is_change", False)
    reached = {} if is_change else {"reach": reach(known, strata, rounding=rounding)}
    flat = [name for name in rows if "." not in str(name)]  # no dicts of tables
    return {
        "statistics": summarise(known, rounding=rounding, on_progress=on_progress),
        "quantiles": quantiles(rows, rounding=rounding),
        **reached,
        "images": with_derived(rows.loc[:, flat], rounding),
        "mask": mask_table(rows, manifest),
        "layers": layer_table(manifest),
    }


def layer_table(manifest: dict[str, Any]) -> "pd.DataFrame":
    """Tabulate the achieved sparsity of each layer, in the order of run.json.

    Columns layer, size, sparsity, achieved_sparsity, delta_norm (‖δ‖ of the layer) and
    delta_norm_relative (‖δ‖ / ‖θ‖, of the layer; both NaN in runs that did not record
    them); empty if the run recorded no layers.
    """
    import pandas as pd

    sparsities = setting_of(manifest, "sparsities") or []
    entries = []
    for layer in manifest.get("layers") or []:
        unknown = [float("nan")] * len(sparsities)
        norms = [layer.get(name, unknown) for name in _NORMS]
        numbers = zip(sparsities, layer["achieved_sparsity"], *norms, strict=False)
        entries += [
            (layer["name"], layer["size"], float(sparsity), *rest)
            for sparsity, *rest in numbers
        ]
    return pd.DataFrame(entries, columns=[*LAYER_COLUMNS, *_NORMS])


def mask_table(rows: "pd.DataFrame", manifest: dict[str, Any]) -> "pd.DataFrame":
    """Tabulate what the mask takes at each sparsity, ascending.

    Columns sparsity, achieved_sparsity, delta_norm and delta_norm_relative (‖δ‖ and ‖δ‖
    / ‖θ‖ over the prunable weights; NaN if the run did not record them).
    """
    import pandas as pd

    sparsities = setting_of(manifest, "sparsities") or []
    reached = dict(zip(rows["sparsity"], rows["achieved_sparsity"], strict=True))
    table = pd.DataFrame(sorted(reached.items()), columns=list(LAYER_COLUMNS[2:]))
    for name in _NORMS:
        known = dict(zip(sparsities, manifest.get(name) or [], strict=False))
        table[name] = [known.get(one, np.nan) for one in table["sparsity"]]
    return table


def layer_matrix(
    layers: "pd.DataFrame", depth: Sequence[str] = ()
) -> tuple[list[str], list[int], list[float], np.ndarray]:
    """Reshape the layer table for its heat map: names, sizes, sparsities, achieved.

    Layers by depth where that is given, else with their numbers in order (conv_2 before
    conv_10), sparsities ascending, and shape (layers, sparsities).
    """
    size_of = dict(zip(layers["layer"], layers["size"], strict=True))
    place = {name: index for index, name in enumerate(depth)}
    names = sorted(size_of, key=lambda n: (place.get(n, len(place)), _natural(n)))
    sizes = [int(size_of[name]) for name in names]
    wide = layers.pivot_table(
        index="layer", columns="sparsity", values="achieved_sparsity", sort=False
    )
    sparsities = sorted(layers["sparsity"].unique().tolist())
    achieved = wide.reindex(index=names, columns=sparsities).to_numpy(np.float64)
    return names, sizes, sparsities, achieved


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]


def progress_of(rows: "pd.DataFrame", manifest: dict[str, Any]) -> tuple[int, int]:
    """Count the images that have every sparsity, and those the run is to have."""
    wanted = len(setting_of(manifest, "sparsities") or [])
    levels = max(wanted, rows["sparsity"].nunique())
    per_image = rows.groupby("image")["sparsity"].nunique()
    done = int(np.sum(per_image.to_numpy() == levels))
    count = (manifest.get("images") or {}).get("count")
    if count is None:
        return done, len(per_image)
    skipped = {entry.get("image") for entry in manifest.get("skipped") or []}
    return done, int(count) - len(skipped)
