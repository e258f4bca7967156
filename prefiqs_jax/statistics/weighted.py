"""Midranks, medians and ratios of weighted samples.

A bootstrap replicate is a row of non-negative integer weights, one per image: how often
that image was drawn. A weighted statistic here means the plain statistic of the sample
in which each image is repeated as often as its weight says, and equals it exactly.
"""

import numpy as np
from jaxtyping import Float, Num


def midranks(
    values: Num[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, "replicates images"]:
    """Rank the images of each replicate from 1; ties share the mean of their ranks.

    A group of total weight w whose last copy has rank r holds ranks r - w + 1 to r, so
    its mean rank is r - (w - 1) / 2. Ranks where the weight is zero mean nothing.

    >>> midranks(np.array([5.0, 2.0, 5.0]), np.array([[1, 1, 1], [1, 2, 0]]))[0]
    array([2.5, 1. , 2.5])
    """
    labels = np.unique(values, return_inverse=True)[1]
    order = np.argsort(labels, kind="stable")
    totals = weights[:, order].astype(np.float64, copy=False)
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    if len(starts) < len(order):
        totals = np.add.reduceat(totals, starts, axis=1)
    ranks = np.cumsum(totals, axis=1) - (totals - 1) / 2
    return ranks[:, labels]


def weighted_median(
    values: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute the median of each replicate; of an even number, the middle of two.

    Parameters
    ----------
    values
        Shape (images,); images without a value (NaN) are left out.
    weights
        Shape (replicates, images), non-negative integers.

    Returns
    -------
    ndarray
        Shape (replicates,); NaN where no image with a value was drawn.

    Examples
    --------
    >>> weighted_median(np.array([3.0, 1.0, 2.0]), np.array([[1, 1, 1], [1, 2, 0]]))
    array([2., 1.])
    """
    known = np.isfinite(values)
    order = np.argsort(values[known], kind="stable")
    if len(order) == 0:
        return np.full(len(weights), np.nan)
    in_order = values[known][order]
    cumulative = np.cumsum(weights[:, known][:, order], axis=1)
    total = cumulative[:, -1]
    last = len(in_order) - 1
    # Of the repeated sample, counted from zero, these are the two middle places.
    lower, upper = (
        np.minimum((cumulative <= place[:, None]).sum(axis=1), last)
        for place in ((total - 1) // 2, total // 2)
    )
    return np.where(total > 0, (in_order[lower] + in_order[upper]) / 2, np.nan)


def ratio(
    numerator: Float[np.ndarray, "*replicates"],
    denominator: Float[np.ndarray, "*replicates"],
) -> Float[np.ndarray, "*replicates"]:
    """Divide, with NaN and no warning where the denominator is zero.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    result = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
