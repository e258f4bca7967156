"""Areas under error-versus-discard curves of the quality that each mask gives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.fiqa import (
    MOST_IMAGES,
    Pairs,
    all_pairs,
    edc_replicates,
    error_evidence,
    pair_quality,
    pauc,
    pauc_table,
)
from prefiqs_jax.fiqa.discard.edc import quiet_edc
from prefiqs_jax.statistics import ROUNDING, with_derived
from prefiqs_jax.statistics.separation import moved_drift
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals

if TYPE_CHECKING:
    import pandas as pd

FMR = 1e-3
MAX_DISCARD = 0.3
PROTOCOL = "crfiqa"
_COLUMNS = ("pauc", "pauc_low", "pauc_high", "reference", "change", "low", "high")


class Areas(NamedTuple):
    """Areas of every mask and sparsity, or why there are none."""

    table: "pd.DataFrame"
    """Columns mask, sparsity, pauc, pauc_low, pauc_high, reference, change (minus the
    area of the reference at that sparsity; below 0 = better), low, high, differs,
    tells (whether there are errors enough); empty if there are no areas."""
    note: str
    """What limits them; empty if nothing does."""


def mask_areas(
    rows: "pd.DataFrame",
    embeddings: Mapping[str, ArrayLike],
    *,
    reference: str | None = None,
    level: float = 0.95,
    rounding: float = ROUNDING,
) -> Areas:
    """Compute how well the quality 1 - drift / 2 of each mask finds failing images.

    Areas up to a discard fraction of 0.3 under the curves of FNMR at FMR 1e-3, all
    pairs of images, protocol "crfiqa" (see :data:`prefiqs_jax.fiqa.PROTOCOLS`);
    lower = better. Images are not compared with their own degraded copies.

    Parameters
    ----------
    rows
        Rows of several masks, see :func:`prefiqs_jax.statistics.compare_masks`.
    embeddings
        Image to its dense embedding, shape (dim,), for every image of the rows.
    reference
        Mask that the others are compared to; None = that of the first row.
    level
        Coverage of the intervals; those of changes hold together (max-t).
    rounding
        As for :func:`prefiqs_jax.statistics.compare_masks`.

    Returns
    -------
    Areas
        The table is empty where somebody's identity is unknown or nobody has two
        images. Where there are too few errors to tell (fewer than 10, or of fewer than
        3 people), it has no intervals.
    """
    import pandas as pd

    columns = ["mask", "sparsity", *_COLUMNS, "differs", "tells"]
    images = rows.drop_duplicates("image").reset_index(drop=True)
    if why := _impossible(images):
        return Areas(pd.DataFrame(columns=columns), why)
    pairs = _pairs(images, embeddings)
    if not pairs.mated.any():
        why = "no pAUC: nobody has two images, beside degraded copies"
        return Areas(pd.DataFrame(columns=columns), why)
    people = images["identity"].tolist()
    first = str(rows["mask"].iloc[0]) if reference is None else reference
    qualities = _qualities(rows, images["image"].tolist(), rounding)
    curves = {
        point: quiet_edc(
            pairs.similarity,
            pairs.mated,
            pair_quality(values, pairs),
            FMR,
            protocol=PROTOCOL,
        )
        for point, values in qualities.items()
    }
    evidence = error_evidence(pairs, people, next(iter(curves.values())))
    lines: dict[tuple[str, float], dict[str, Any]] = {
        point: {
            "mask": point[0],
            "sparsity": point[1],
            **dict.fromkeys(_COLUMNS, np.nan),
            "pauc": pauc(curve, max_discard=MAX_DISCARD),
            "reference": first,
            "differs": False,
            "tells": evidence.tells,
        }
        for point, curve in curves.items()
    }
    note = ""
    if evidence.tells:
        _add_intervals(lines, pairs, people, qualities, first, level)
    else:
        note = (
            f"pAUC cannot tell: {evidence.errors} of {evidence.mated_count} mated "
            f"comparisons fail at FMR {FMR:g}, of {evidence.units} people; it takes 10 "
            "of 3"
        )
    return Areas(pd.DataFrame(list(lines.values()), columns=columns), note)


def _impossible(images: "pd.DataFrame") -> str:
    if np.any(images["identity"].isna()):
        return "no pAUC: not everybody's identity is known"
    people = images["identity"].tolist()
    if not 2 <= len(set(people)) < len(people):
        return "no pAUC: it takes two people, and two images of one of them"
    if len(images) > MOST_IMAGES:
        return f"no pAUC: {len(images)} images are more than {MOST_IMAGES}"
    return ""


def _pairs(images: "pd.DataFrame", embeddings: Mapping[str, ArrayLike]) -> Pairs:
    matrix = np.stack([np.asarray(embeddings[name]) for name in images["image"]])
    pairs = all_pairs(matrix, images["identity"].tolist())
    if "copy_of" not in images:
        return pairs
    original = np.unique(images["copy_of"].astype(str), return_inverse=True)[1]
    apart = original[pairs.first] != original[pairs.second]
    return Pairs(*(each[apart] for each in pairs))


def _qualities(
    rows: "pd.DataFrame", names: list[str], rounding: float
) -> dict[tuple[str, float], NDArray[np.float64]]:
    """Give 1 - drift / 2 of each mask and sparsity, by image; rounding is no drift."""
    derived = with_derived(rows, rounding)
    derived = derived.assign(quality=1 - moved_drift(derived) / 2)
    parts: Any = derived.groupby(["mask", "sparsity"], sort=False)
    return {
        (str(mask), float(sparsity)): part.set_index("image")["quality"]
        .loc[names]
        .to_numpy(np.float64)
        for (mask, sparsity), part in parts
    }


def _add_intervals(
    lines: dict[tuple[str, float], dict[str, Any]],
    pairs: Pairs,
    people: list[str],
    qualities: Mapping[tuple[str, float], NDArray[np.float64]],
    reference: str,
    level: float,
) -> None:
    """Add intervals of the areas, and the paired changes with theirs."""
    keys = {f"{mask}@{sparsity!r}": (mask, sparsity) for mask, sparsity in qualities}
    (found,) = edc_replicates(
        pairs,
        people,
        {key: qualities[point] for key, point in keys.items()},
        fmrs=(FMR,),
        protocols=(PROTOCOL,),
        max_discards=(MAX_DISCARD,),
    )
    table = pauc_table([found], level=level).set_index("quality")
    for key, point in keys.items():
        lines[point]["pauc_low"], lines[point]["pauc_high"] = table.loc[
            key, ["low", "high"]
        ].tolist()
    place = {keys[name]: row for row, name in enumerate(found.quality)}
    compared = [
        point
        for point in lines
        if point[0] != reference and (reference, point[1]) in place
    ]
    if not compared:
        return
    areas = found.pauc[:, :, 0]
    changes = [areas[place[p]] - areas[place[reference, p[1]]] for p in compared]
    values = np.stack(changes, axis=1)
    ends = simultaneous_intervals(values, found.method, level=level)
    for point, change, low, high in zip(compared, values[0], *ends, strict=True):
        lines[point] |= {
            "change": float(change),
            "low": float(low),
            "high": float(high),
            "differs": bool(low > 0 or high < 0),
        }
