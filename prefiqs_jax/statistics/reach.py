"""Up to which sparsity the first order holds: for most of the images, not in median."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL, caution
from prefiqs_jax.statistics.jackknife import deletion_groups
from prefiqs_jax.statistics.quantile_interval import quantile_interval
from prefiqs_jax.statistics.rounding import ROUNDING, with_derived
from prefiqs_jax.statistics.strata import strata_of

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.1
"""Relative residual up to which the first order holds for an image."""
SHARES = (0.95, 0.5)
"""Of the images, for which it is to hold."""


def reach(
    rows: "pd.DataFrame",
    strata: Sequence[str] = (),
    *,
    tolerance: float = TOLERANCE,
    shares: Sequence[float] = SHARES,
    level: float = 0.95,
    rounding: float = ROUNDING,
) -> "pd.DataFrame":
    """Find the sparsity up to which the relative residual is within a tolerance.

    An image reaches the sparsity at which its relative residual first crosses the
    tolerance, on straight lines between the sparsities of the run; a share of the
    images reaches what so many reach at least. Nothing is extrapolated: -inf is "below
    the lowest sparsity", inf "beyond the highest".

    Parameters
    ----------
    rows
        Rows of one network and mask, perhaps with further columns of the images.
    strata
        Columns to look within besides, see
        :func:`~prefiqs_jax.statistics.within_strata`.
    tolerance
        Largest relative residual, above 0.
    shares
        Fractions of the images, each in (0, 1).
    level
        Coverage of each interval, by person:
        :func:`~prefiqs_jax.statistics.quantile_interval.quantile_interval`.
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`.

    Returns
    -------
    pandas.DataFrame
        Columns strata, stratum (both "all" of all images, which come first), tolerance,
        share, value, low, high (achieved sparsities), lowest, highest (of the run),
        images, clusters, resampled_by, caution. Images that moved by rounding only are
        left out; an interval takes 3 people.

    Raises
    ------
    InputError
        If the tolerance or a share is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("aabb"), "identity": list("aabb"),
    ...     "sparsity": [0.1, 0.3] * 2, "first_order": 1.0, "drift": 1.0,
    ...     "residual": [0.05, 0.15, 0.0, 0.2]})
    >>> reach(rows, shares=[0.5])["value"].round(3).tolist()
    [0.2]
    """
    import pandas as pd

    if not tolerance > 0 or not all(0 < share < 1 for share in shares):
        message = (
            f"tolerance {tolerance:g}, shares {', '.join(map(str, shares))}: give a "
            "tolerance above 0 and shares between 0 and 1"
        )
        raise InputError(message)
    lines: list[dict[str, Any]] = []
    parts = [("all", "all", rows)]
    parts += [(c, name, part) for c in strata for name, part in strata_of(rows, c)]
    by, unit = clustered_by(rows)
    for column, stratum, part in parts:
        derived = with_derived(part, rounding).dropna(subset=["relative_residual"])
        level_of = "achieved_sparsity" if "achieved_sparsity" in part else "sparsity"
        derived = derived.sort_values(["image", level_of])
        starts = np.flatnonzero(~derived["image"].duplicated().to_numpy())
        reached = _crossings(
            derived[level_of].to_numpy(np.float64),
            derived["relative_residual"].to_numpy(np.float64),
            starts,
            tolerance,
        )
        codes = pd.factorize(derived[by].iloc[starts])[0]
        groups, count = deletion_groups(codes), len(set(codes))
        for share in shares:
            value, low, high = quantile_interval(
                reached, groups, 1 - share, level=level
            )
            if count < FEWEST_FOR_INTERVAL:
                low = high = float("nan")
            found = {"strata": column, "stratum": stratum, "tolerance": tolerance}
            found |= {"share": share, "value": value, "low": low, "high": high}
            found |= {"lowest": derived[level_of].min()}
            found |= {"highest": derived[level_of].max()}
            found |= {"images": len(reached), "clusters": count, "resampled_by": unit}
            words = caution(count, unit) if count else []
            lines.append(found | {"caution": "; ".join(words)})
    return pd.DataFrame(lines)


def clustered_by(rows: "pd.DataFrame") -> tuple[str, str]:
    """Give the column of whose values images are left out together, and its unit.

    People where all are known, else images with their degraded copies.

    >>> import pandas as pd
    >>> clustered_by(pd.DataFrame({"image": ["a", "b"], "identity": ["p", None]}))
    ('image', 'image')
    """
    if "identity" in rows and bool(rows["identity"].notna().all()):
        return "identity", "identity"
    return ("copy_of" if "copy_of" in rows else "image"), "image"


def _crossings(
    sparsity: NDArray[np.float64],
    residual: NDArray[np.float64],
    starts: NDArray[np.intp],
    tolerance: float,
) -> NDArray[np.float64]:
    """Give where each image's curve first rises above the tolerance, ±inf if nowhere.

    The curves stand one after the other, each from one of the starts on.

    >>> at, curves = np.tile([0.1, 0.3, 0.5], 3), [.2, .3, .4, .0, .1, .1, .0, .2, .0]
    >>> _crossings(at, np.array(curves), np.array([0, 3, 6]), 0.1)
    array([-inf,  inf,  0.2])
    """
    if not len(starts):
        return np.zeros(0)
    count = len(residual)
    above = np.where(residual > tolerance, np.arange(count), count)
    first = np.minimum.reduceat(above, starts)
    ends = np.append(starts[1:], count)
    found = np.where(first == starts, -np.inf, np.inf)
    inside = np.flatnonzero((first > starts) & (first < ends))
    after = first[inside]
    before = after - 1
    part = (tolerance - residual[before]) / (residual[after] - residual[before])
    step = sparsity[after] - sparsity[before]
    found[inside] = sparsity[before] + part * step
    return found
