"""Leave out one person at a time, or one group, for a confidence interval."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import stdtrit

from prefiqs_jax.errors import InputError

Scale = Literal["linear", "fisher"]

MOST_GROUPS = 200
"""Clusters left out one by one; of more, as many groups are. Student's quantile of 199
degrees of freedom is within 1 % of the normal one."""
_NEAR_ONE = 1e-12
"""A correlation is ±1 if it is so near to it: sums of float64 are no nearer."""


def deletion_groups(
    clusters: Int[np.ndarray, " images"], most: int = MOST_GROUPS, seed: int = 0
) -> Int[np.ndarray, " images"]:
    """Give each image the group that is left out with it.

    Parameters
    ----------
    clusters
        Shape (images,): the cluster of each image, from 0 without gaps.
    most
        Groups at most. Up to so many clusters are a group each; more are dealt out at
        random into groups of the same number, give or take one.
    seed
        For that.

    Returns
    -------
    ndarray
        Shape (images,), from 0 without gaps.

    References
    ----------
    Kott (2001). The delete-a-group jackknife. Journal of Official Statistics 17.

    Examples
    --------
    >>> deletion_groups(np.array([0, 0, 1, 2]))
    array([0, 0, 1, 2])
    >>> np.bincount(deletion_groups(np.arange(400)))[:3]
    array([2, 2, 2])
    """
    count = int(clusters.max()) + 1 if len(clusters) else 0
    if count <= most:
        return clusters
    return (np.random.default_rng(seed).permutation(count) % most)[clusters]


def without_each(
    groups: Int[np.ndarray, " images"], first: int, last: int
) -> Float[np.ndarray, "groups images"]:
    """Make the weights that leave out group ``first``, …, ``last - 1``.

    Returns
    -------
    ndarray
        Shape (last - first, images): 0 for images of the group, 1 for the others.

    Examples
    --------
    >>> without_each(np.array([0, 0, 1]), 0, 2)
    array([[0., 0., 1.],
           [1., 1., 0.]])
    """
    return (np.arange(first, last)[:, None] != groups).astype(np.float64)


def check_level(level: float) -> None:
    """Raise InputError unless a level of coverage lies in (0, 1)."""
    if not 0 < level < 1:
        message = f"level={level}: give a level between 0 and 1"
        raise InputError(message)


def is_one(correlation: NDArray[np.float64] | float) -> NDArray[np.bool_] | np.bool_:
    """Return which correlations are ±1, to the rounding of float64."""
    return np.abs(correlation) >= 1 - _NEAR_ONE


def jackknife_interval(
    value: NDArray[np.float64] | float,
    without: Float[np.ndarray, "clusters ..."],
    *,
    level: float = 0.95,
    scale: Scale = "linear",
) -> tuple[NDArray[np.float64] | np.float64, NDArray[np.float64] | np.float64]:
    """Compute the delete-one-cluster jackknife interval of a statistic.

    value ± t · SE with SE² = (K - 1) / K · Σ (without_k - mean)² and t the quantile of
    Student's distribution with K - 1 degrees of freedom, K the number of clusters.

    Parameters
    ----------
    value
        The statistic on all clusters, any shape.
    without
        The statistic with each cluster left out, shape (clusters, …). A
        cluster without which the statistic is not defined is NaN and makes the
        interval NaN.
    level
        Coverage asked for, in (0, 1).
    scale
        ``"linear"``, or ``"fisher"`` for correlations: the interval is computed on
        artanh(value), where the sampling distribution is nearly symmetric, and ends
        inside [-1, 1]. It is NaN where the value is ±1 on all clusters or without one
        of them: that has no artanh, and says nothing of how much it varies.

    Returns
    -------
    low, high
        Same shape as ``value``; NaN for fewer than two clusters.

    Notes
    -----
    Chosen because it covers with few people, where the percentile and BCa bootstraps
    do not: see ``experiments/coverage.py``.

    References
    ----------
    Efron & Tibshirani (1993). An Introduction to the Bootstrap, chapter 11 (the
    jackknife estimate of standard error), equation 11.5.

    Examples
    --------
    The mean of three numbers: the classical t interval.

    >>> x = np.array([1.0, 2.0, 3.0])
    >>> low, high = jackknife_interval(2.0, (x.sum() - x) / 2)
    >>> round(float(low), 3), round(float(high), 3)
    (-0.484, 4.484)
    """
    count = len(without)
    center = np.asarray(value, np.float64)
    if count < 2:
        return np.full(center.shape, np.nan), np.full(center.shape, np.nan)
    if scale == "fisher":
        center = np.arctanh(np.where(is_one(center), np.nan, center))
        without = np.arctanh(np.where(is_one(without), np.nan, without))
    spread = without - without.mean(axis=0)
    error = np.sqrt((count - 1) / count * np.sum(spread**2, axis=0))
    reach = stdtrit(count - 1, (1 + level) / 2) * error
    low, high = center - reach, center + reach
    if scale == "fisher":
        low, high = np.tanh(low), np.tanh(high)
    return low, high
