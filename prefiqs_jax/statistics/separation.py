"""How well a number tells degraded images from clean ones: area under the ROC curve."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL
from prefiqs_jax.statistics.jackknife import (
    deletion_groups,
    is_one,
    jackknife_interval,
    without_each,
)
from prefiqs_jax.statistics.weighted import midranks, ratio

if TYPE_CHECKING:
    import pandas as pd

BANDS = {
    "all": (0.0, np.inf),
    "to 1/3": (0.0, 1 / 3),
    "1/3 to 2/3": (1 / 3, 2 / 3),
    "above 2/3": (2 / 3, np.inf),
}
"""Severities of the degraded images: above the first number, up to the second."""


def auroc(
    values: Float[np.ndarray, " images"],
    degraded: Bool[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute the area under the ROC curve of each replicate.

    P(value of a degraded image > value of a clean one) + P(equal) / 2, the Mann-Whitney
    statistic over the number of pairs; 0.5 = no separation, 1 = perfect.

    Parameters
    ----------
    values
        Shape (images,), finite; higher = more likely degraded.
    degraded
        Shape (images,).
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), in [0, 1]; NaN where one kind of images is missing.

    References
    ----------
    Hanley & McNeil (1982). The meaning and use of the area under a receiver operating
    characteristic (ROC) curve. Radiology 143.

    Examples
    --------
    >>> kinds = np.array([False, False, True, True])
    >>> auroc(np.array([1.0, 3.0, 2.0, 4.0]), kinds, np.ones((1, 4)))
    array([0.75])
    """
    of_degraded = weights[:, degraded].astype(np.float64, copy=False)
    count = of_degraded.sum(axis=1)
    clean = weights[:, ~degraded].sum(axis=1, dtype=np.float64)
    ranks = midranks(values, weights)[:, degraded]
    above = np.einsum("ri,ri->r", of_degraded, ranks) - count * (count + 1) / 2
    return ratio(above, count * clean)


def moved_drift(rows: "pd.DataFrame") -> Float[np.ndarray, " images"]:
    """Give the drift of each row, 0 where it is below rounding.

    Below rounding the order of two images is chance, so they are ties.

    Parameters
    ----------
    rows
        Columns drift and below_rounding.
    """
    drift = rows["drift"].to_numpy(np.float64)
    return np.where(rows["below_rounding"].to_numpy(bool), 0.0, drift)


def separation_table(
    rows: "pd.DataFrame", clusters: Int[np.ndarray, " images"], level: float = 0.95
) -> "pd.DataFrame":
    """Tabulate how well drift tells degraded images from clean ones, by severity.

    Parameters
    ----------
    rows
        Rows of one mask and sparsity: columns drift, below_rounding and severity (0 =
        clean; rows without one are left out).
    clusters
        Shape (images,): the cluster of each row, from 0.
    level
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns severity (a key of :data:`BANDS`), auroc, low, high, clean, degraded
        (counts of images), clusters. One line for each band that has degraded images;
        none if there are no clean ones. Intervals are jackknives over the clusters on
        the logit scale, on which an area ends inside [0, 1]; NaN for fewer than 3
        clusters, where the area is 0 or 1 with or without one of them, or where all
        changes are rounding.
    """
    import pandas as pd

    severity = rows["severity"].to_numpy(np.float64)
    drift = moved_drift(rows)
    lines: list[dict[str, Any]] = []
    for name, (above, up_to) in BANDS.items():
        is_bad = (severity > above) & (severity <= up_to)
        chosen = (severity == 0) | is_bad
        if not is_bad.any() or chosen.sum() == is_bad.sum():
            continue
        own, found = np.unique(clusters[chosen], return_inverse=True)
        value, low, high = _with_interval(drift[chosen], is_bad[chosen], found, level)
        lines.append(
            {
                "severity": name,
                "auroc": value,
                "low": low,
                "high": high,
                "clean": int(chosen.sum() - is_bad.sum()),
                "degraded": int(is_bad.sum()),
                "clusters": len(own),
            }
        )
    columns = ("severity", "auroc", "low", "high", "clean", "degraded", "clusters")
    return pd.DataFrame(lines, columns=list(columns))


def _with_interval(
    drift: Float[np.ndarray, " images"],
    degraded: Bool[np.ndarray, " images"],
    clusters: Int[np.ndarray, " images"],
    level: float,
) -> tuple[float, float, float]:
    none = float("nan")
    if not drift.any():
        return none, none, none
    value = float(auroc(drift, degraded, np.ones((1, len(drift))))[0])
    groups = deletion_groups(clusters)
    count = int(groups.max()) + 1
    if count < FEWEST_FOR_INTERVAL:
        return value, none, none
    without = auroc(drift, degraded, without_each(groups, 0, count))
    # artanh(2 A - 1) is half the logit of A.
    scaled = 2 * np.array([value, *without]) - 1
    if not np.isfinite(scaled).all() or is_one(scaled).any():
        return value, none, none
    ends = jackknife_interval(scaled[0], scaled[1:], level=level, scale="fisher")
    low, high = ((1 + float(end)) / 2 for end in ends)
    return value, low, high
