"""Confidence intervals of shares and quantiles over images of few people."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import special

from prefiqs_jax.statistics.jackknife import jackknife_interval


def quantile_interval(
    values: Float[np.ndarray, " images"],
    groups: Int[np.ndarray, " images"],
    fraction: float,
    *,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Compute the quantile that at most a fraction of the images is below.

    The ends are order statistics whose ranks come from the binomial distribution, exact
    for independent images, with the effective number of images in place of their
    number: the jackknife over people gives the variance of the share below the
    quantile, and how many independent images would have it (Korn and Graubard's
    interval of a share, turned into one of a quantile as Woodruff does). An end beyond
    every image is infinite: of 30 images none is below the 5 % quantile in one of five
    samples.

    Parameters
    ----------
    values
        Shape (images,); may be infinite, NaN are left out.
    groups
        Shape (images,): which images are left out together, from 0 without gaps.
    fraction
        In (0, 1).
    level
        Coverage asked for, in (0, 1).

    Returns
    -------
    value, low, high : float
        All NaN without an image, the ends for fewer than two groups.

    References
    ----------
    Korn & Graubard (1998). Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data. Survey Methodology 24.
    Woodruff (1952). Confidence intervals for medians and other position measures.
    Journal of the American Statistical Association 47.

    Examples
    --------
    >>> quantile_interval(np.arange(200.0), np.arange(200), 0.05)
    (10.0, 3.0, 16.0)
    """
    known = ~np.isnan(values)
    groups = np.unique(groups[known], return_inverse=True)[1]
    order = np.sort(values[known])
    count, clusters = len(order), int(groups.max(initial=-1)) + 1
    if not count:
        return float("nan"), float("nan"), float("nan")
    # Less rounding: 0.05 · 60 must not be 2.999….
    value = float(order[min(int(fraction * count + 1e-9), count - 1)])
    if clusters < 2:
        return value, float("nan"), float("nan")
    below = (values[known] < value) + fraction * (values[known] == value)
    effective = _effective_count(below, groups, fraction, level)
    # P(the k-th smallest is below the quantile), at the rank k scaled to its number.
    rank = np.arange(1, count + 1) * effective / count
    is_below = special.betainc(rank, effective - rank + 1, fraction)
    lower = order[is_below >= (1 + level) / 2]
    upper = order[is_below <= (1 - level) / 2]
    low = float(lower[-1]) if len(lower) else -np.inf
    high = float(upper[0]) if len(upper) else np.inf
    return value, min(low, value), max(high, value)


def share_interval(
    held: Bool[np.ndarray, " images"],
    groups: Int[np.ndarray, " images"],
    *,
    level: float = 0.95,
) -> tuple[float, float]:
    """Compute Korn and Graubard's interval of a share of the images.

    Exact for independent images (Clopper and Pearson), with the effective number of
    images in place of their number. Where all images or none are in it, nothing tells
    how alike those of a person are, and the number of people takes its place.

    Parameters
    ----------
    held
        Shape (images,): which are in it.
    groups
        Shape (images,): which images are left out together, from 0 without gaps.
    level
        Coverage asked for, in (0, 1).

    Returns
    -------
    low, high : float
        NaN for fewer than two groups.

    Examples
    --------
    >>> low, high = share_interval(np.arange(100) < 50, np.arange(100))
    >>> round(low, 2), round(high, 2)
    (0.4, 0.6)
    """
    clusters = int(groups.max(initial=-1)) + 1
    if clusters < 2:
        return float("nan"), float("nan")
    share = float(held.mean())
    count = float(clusters)
    if 0 < share < 1:
        count = _effective_count(held.astype(np.float64), groups, share, level)
    inside, outside = share * count, (1 - share) * count
    tail = (1 - level) / 2
    low = special.betaincinv(inside, outside + 1, tail) if inside else 0.0
    high = special.betaincinv(inside + 1, outside, 1 - tail) if outside else 1.0
    return float(low), float(high)


def _effective_count(
    held: NDArray[np.float64],
    groups: Int[np.ndarray, " images"],
    share: float,
    level: float,
) -> float:
    """Compute how many independent images would vary as these: at most their number."""
    count = len(held)
    sizes, sums = np.bincount(groups), np.bincount(groups, held)
    without = (sums.sum() - sums) / (count - sizes)
    _, end = jackknife_interval(0.0, without, level=level)
    t = special.stdtrit([count - 1, len(sizes) - 1], (1 + level) / 2)
    independent = share * (1 - share) / count
    inflated = max(1.0, (float(end) / t[1]) ** 2 / independent)
    return float(count / inflated * (t[0] / t[1]) ** 2)
