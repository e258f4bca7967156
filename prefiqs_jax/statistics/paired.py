"""Paired differences of masks: at equal sparsity, and at equal drift or ‖δ‖."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL
from prefiqs_jax.statistics.curves import mean_difference
from prefiqs_jax.statistics.jackknife import is_one
from prefiqs_jax.statistics.replicated import (
    LOG_DRIFT,
    LOWER_IS_BETTER,
    RATIOS,
    Images,
    Replicates,
    replicate,
)
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals

if TYPE_CHECKING:
    import pandas as pd

AXES = ("mean_drift", "delta_norm_relative")
"""At equal what masks are compared, beside equal sparsity."""

_AT_SPARSITY = ("statistic", "sparsity", "mask", "reference")
_AT_SPARSITY += ("value", "reference_value")
_MATCHED = ("statistic", "at", "mask", "reference", "lowest", "highest")

Point = tuple[str, float]
"""Mask and sparsity."""


def differences_at_sparsity(
    images: Mapping[Point, Images],
    replicates: Mapping[Point, Replicates],
    groups: Int[np.ndarray, " images"],
    reference: str,
    level: float,
) -> "pd.DataFrame":
    """Tabulate the difference of each mask to a reference at equal sparsity.

    Parameters
    ----------
    images, replicates
        Of every mask and sparsity.
    groups
        Images that are left out together.
    reference
        Mask that the others are compared to.
    level
        Coverage that all intervals of one statistic have together.

    Returns
    -------
    pandas.DataFrame
        Columns statistic, sparsity, mask, reference, value, reference_value, change
        (value over reference_value for the relative residual, else minus), low, high,
        differs (the interval excludes no change), better.
    """
    lines: list[dict[str, Any]] = []
    changes: list[NDArray[np.float64]] = []
    for point, own in images.items():
        mask, sparsity = point
        if mask == reference or (reference, sparsity) not in images:
            continue
        against = images[reference, sparsity]
        ours, theirs = replicates[point], replicates[reference, sparsity]
        both = _moved_in_both(own, against, len(groups))
        if both is not None:
            ours = replicate(own, groups, among=both)
            theirs = replicate(against, groups, among=both)
        for statistic in LOWER_IS_BETTER:
            changes.append(_change(ours[statistic], theirs[statistic], statistic))
            lines.append(
                {
                    "statistic": statistic,
                    "sparsity": sparsity,
                    "mask": mask,
                    "reference": reference,
                    "value": _told(ours[statistic][0], statistic),
                    "reference_value": _told(theirs[statistic][0], statistic),
                }
            )
    return _with_intervals(_AT_SPARSITY, lines, changes, level)


def differences_matched(
    replicates: Mapping[Point, Replicates],
    delta_norms: Mapping[Point, float],
    reference: str,
    level: float,
) -> "pd.DataFrame":
    """Tabulate the difference of each mask to a reference at equal drift, or ‖δ‖.

    At equal sparsity masks differ several times in how far they move an embedding, and
    the first order is worse the farther it moves: so the fair comparison is at equal
    mean drift. Each statistic is taken as a piecewise linear function of the logarithm
    of the mean drift (or of ‖δ‖ / ‖θ‖) through the sparsities of a mask; the difference
    is averaged over the range that both masks have, see
    :func:`~prefiqs_jax.statistics.curves.mean_difference`. Leaving a person out moves
    the drift as well, so the intervals count that.

    Parameters
    ----------
    replicates
        Of every mask and sparsity.
    delta_norms
        ‖δ‖ / ‖θ‖ of each, as far as known.
    reference, level
        As for :func:`differences_at_sparsity`; the level holds for all intervals of
        one statistic and axis.

    Returns
    -------
    pandas.DataFrame
        Columns statistic, at (one of ``AXES``), mask, reference, lowest, highest (the
        range that is compared), change, low, high, differs, better. All are NaN where
        there is no common range.
    """
    import pandas as pd

    masks = list(dict.fromkeys(mask for mask, _ in replicates))
    tables = []
    for axis in AXES:
        lines, changes = [], []
        abscissae = _abscissae(replicates, delta_norms, axis)
        for mask in masks:
            if mask == reference:
                continue
            for statistic in LOWER_IS_BETTER:
                change, ends = _matched(
                    replicates, abscissae, mask, reference, statistic
                )
                changes.append(change)
                lines.append(
                    {
                        "statistic": statistic,
                        "at": axis,
                        "mask": mask,
                        "reference": reference,
                        "lowest": float(np.exp(ends[0])),
                        "highest": float(np.exp(ends[1])),
                    }
                )
        tables.append(_with_intervals(_MATCHED, lines, changes, level))
    return pd.concat(tables, ignore_index=True)


def _abscissae(
    replicates: Mapping[Point, Replicates],
    delta_norms: Mapping[Point, float],
    axis: str,
) -> dict[Point, NDArray[np.float64]]:
    """Give the logarithm of the mean drift, or of ‖δ‖, of each replicate."""
    found = {}
    for point, own in replicates.items():
        found[point] = own[LOG_DRIFT]
        if axis != "mean_drift":
            norm = delta_norms.get(point, np.nan)
            log = np.log(norm) if norm > 0 else np.nan
            found[point] = np.full(len(own[LOG_DRIFT]), log)
    return found


def _matched(
    replicates: Mapping[Point, Replicates],
    abscissae: Mapping[Point, NDArray[np.float64]],
    mask: str,
    reference: str,
    statistic: str,
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Average the difference of two masks over their common range, per replicate."""
    curves = []
    for name in (mask, reference):
        pairs = [
            (abscissae[point], own[statistic])
            for point, own in replicates.items()
            if point[0] == name
            and np.isfinite([abscissae[point][0], own[statistic][0]]).all()
        ]
        curves += [np.array([each[axis] for each in pairs]) for axis in (0, 1)]
    count = len(next(iter(abscissae.values())))
    if not len(curves[0]) or not len(curves[2]):
        return np.full(count, np.nan), (np.nan, np.nan)
    found = [
        mean_difference(*(curve[:, index] for curve in curves))
        for index in range(count)
    ]
    return np.array([each[0] for each in found]), found[0][1:]


def _moved_in_both(one: Images, other: Images, count: int) -> NDArray[np.bool_] | None:
    """Mark the images that moved under both masks; None if they are the same."""
    moved = np.zeros((2, count), bool)
    for line, images in zip(moved, (one, other), strict=True):
        line[images.places] = images.moved & np.isfinite(images.log_residual)
    return None if (moved[0] == moved[1]).all() else moved[0] & moved[1]


def _change(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], statistic: str
) -> NDArray[np.float64]:
    change = ours - theirs
    if statistic == "spearman" and (is_one(ours[0]) or is_one(theirs[0])):
        # Without a pair out of order nothing says how much it would vary.
        change[1:] = np.nan
    return change


def _told(value: float, statistic: str) -> float:
    return float(np.exp(value)) if statistic in RATIOS else float(value)


def _with_intervals(
    keys: Sequence[str],
    lines: Sequence[dict[str, Any]],
    changes: Sequence[NDArray[np.float64]],
    level: float,
) -> "pd.DataFrame":
    """Add change, low, high, differs and better; ratios are told as ratios."""
    import pandas as pd

    told = {}
    for statistic in LOWER_IS_BETTER:
        places = [i for i, line in enumerate(lines) if line["statistic"] == statistic]
        if places:
            values = np.stack([changes[place] for place in places], axis=1)
            told |= dict(zip(places, _family(values, statistic, level), strict=True))
    added = ("change", "low", "high", "differs", "better")
    return pd.DataFrame(
        [
            line | dict(zip(added, told[place], strict=True))
            for place, line in enumerate(lines)
        ],
        columns=[*keys, *added],
    )


def _family(
    values: NDArray[np.float64], statistic: str, level: float
) -> Iterator[tuple[float, float, float, bool, bool]]:
    """Give the differences of one statistic, whose intervals hold together."""
    if len(values) - 1 < FEWEST_FOR_INTERVAL:
        low = high = np.full(values.shape[1], np.nan)
    else:
        low, high = simultaneous_intervals(values, "jackknife", level=level)
    for change, ends in zip(values[0], zip(low, high, strict=True), strict=True):
        above, below = bool(ends[0] > 0), bool(ends[1] < 0)
        better = below if LOWER_IS_BETTER[statistic] else above
        value, first, last = (_told(each, statistic) for each in (change, *ends))
        yield value, first, last, above or below, better
