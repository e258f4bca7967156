"""What the weighted statistics share: tie groups, midranks, medians, ratios.

A bootstrap replicate is a row of non-negative integer weights, one per image: how often
that image was drawn. A weighted statistic here means the plain statistic of the sample
in which each image is repeated as often as its weight says, and equals it exactly.
"""

import numpy as np
from jaxtyping import Float, Int, Num


def tie_labels(values: Num[np.ndarray, " images"]) -> Int[np.ndarray, " images"]:
    """Give each value the number of its group of equal ones, from the smallest.

    >>> tie_labels(np.array([3.0, 1.0, 3.0]))
    array([1, 0, 1])
    """
    return np.unique(values, return_inverse=True)[1]


def group_totals(
    weights: Num[np.ndarray, "replicates images"], labels: Int[np.ndarray, " images"]
) -> Float[np.ndarray, "replicates groups"]:
    """Sum the weights of each tie group, smallest value first."""
    order = np.argsort(labels, kind="stable")
    in_order = weights[:, order].astype(np.float64, copy=False)
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    if len(starts) == len(order):
        return in_order
    return np.add.reduceat(in_order, starts, axis=1)


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
    labels = tie_labels(values)
    totals = group_totals(weights, labels)
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
    numerator: Float[np.ndarray, " replicates"],
    denominator: Float[np.ndarray, " replicates"],
) -> Float[np.ndarray, " replicates"]:
    """Divide, with NaN and no warning where the denominator is zero.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    result = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
