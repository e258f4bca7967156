"""Kendall's tau-b of many weighted replicates at once.

Copies of one image are tied in x and in y, so a replicate's pairs are pairs of images,
each counted as often as the product of the two weights. The discordant ones are counted
for all replicates together: the images, sorted by x, are halved by their rank in y; the
pairs across the halves need one cumulative sum; the pairs within a half are counted the
same way, and small halves by one product with their matrix of discordance. All counts
are integers below 2⁵³ in float64, so they are exact.
"""

import numpy as np
from jaxtyping import Float, Int, Num

from prefiqs_jax.statistics.weighted import group_totals, ratio, tie_labels

# Halves of at most this many images go to a matrix product; measured on 2 CPU cores,
# 48 to 512 cost the same.
_BLOCK = 128
# OpenBLAS runs products of up to this many multiplications in one thread. Larger ones
# wait for all threads, which made Kendall 20 times slower while another process ran.
_ONE_THREAD = 2**18


def _product(
    weights: Float[np.ndarray, "replicates images"],
    matrix: Float[np.ndarray, "images images"],
) -> Float[np.ndarray, "replicates images"]:
    """Multiply a few rows at a time, each product small enough for one thread."""
    result = np.empty(weights.shape)
    rows = max(1, _ONE_THREAD // matrix.size)
    for start in range(0, len(weights), rows):
        part = slice(start, start + rows)
        np.matmul(weights[part], matrix, out=result[part])
    return result


def _discordant(
    rank: Int[np.ndarray, " images"], weights: Float[np.ndarray, "replicates images"]
) -> Float[np.ndarray, " replicates"]:
    """Sum weight products of pairs whose earlier image has the larger rank."""
    if rank.min() == rank.max():
        return np.zeros(len(weights))
    if len(rank) <= _BLOCK:
        is_discordant = np.triu(rank[:, None] > rank[None, :]).astype(np.float64)
        return np.einsum("ri,ri->r", _product(weights, is_discordant), weights)
    middle = np.partition(rank, len(rank) // 2)[len(rank) // 2]
    is_low = rank <= middle
    if is_low.all():
        is_low = rank < middle
    low, high = np.flatnonzero(is_low), np.flatnonzero(~is_low)
    low_weights, high_weights = weights[:, low], weights[:, high]
    high_before = np.searchsorted(high, low)
    first = np.searchsorted(high_before, 1)
    cumulative = np.cumsum(high_weights, axis=1)
    across = np.einsum(
        "ri,ri->r", low_weights[:, first:], cumulative[:, high_before[first:] - 1]
    )
    return (
        across
        + _discordant(rank[low], low_weights)
        + _discordant(rank[high], high_weights)
    )


def _tied_squares(
    values: Int[np.ndarray, " images"], weights: Float[np.ndarray, "replicates images"]
) -> Float[np.ndarray, " replicates"]:
    """Sum the squared weight of each tie group."""
    labels = tie_labels(values)
    # Without ties the order of the images does not matter, so spare the reordering.
    tied = len(labels) and labels.max() + 1 < len(labels)
    totals = group_totals(weights, labels) if tied else weights
    return np.einsum("rg,rg->r", totals, totals)


def kendall(
    x: Float[np.ndarray, " images"],
    y: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute Kendall's tau-b of each replicate.

    tau-b = (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y))

    Parameters
    ----------
    x, y
        Shape (images,), finite.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), in [-1, 1]; NaN where x or y is constant.

    References
    ----------
    Kendall (1945). The treatment of ties in ranking problems. Biometrika 33.
    Knight (1966). A computer method for calculating Kendall's tau with ungrouped data.
    Journal of the American Statistical Association 61.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> y = np.array([1.0, 3.0, 2.0])
    >>> kendall(x, y, np.array([[1, 1, 1], [1, 2, 0], [0, 3, 0]])).round(3)
    array([0.333, 1.   ,   nan])
    """
    weights = weights.astype(np.float64, copy=False)
    if weights.shape[1] == 0:
        return np.full(len(weights), np.nan)
    x_label, y_label = tie_labels(x), tie_labels(y)
    # Sorted by x, then by y, so that no pair tied in x looks discordant.
    order = np.lexsort((y_label, x_label))
    x_label, y_label, weights = x_label[order], y_label[order], weights[:, order]

    # Ordered pairs, each image with itself too: that term cancels everywhere below.
    every = weights.sum(axis=1) ** 2
    x_tied = _tied_squares(x_label, weights)
    y_tied = _tied_squares(y_label, weights)
    both_tied = _tied_squares(x_label * len(x) + y_label, weights)
    discordant = 2 * _discordant(y_label, weights)
    difference = every - x_tied - y_tied + both_tied - 2 * discordant
    return ratio(difference, np.sqrt(every - x_tied) * np.sqrt(every - y_tied))
