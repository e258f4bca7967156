"""Kendall's tau-b without each group of images, from one count of pairs."""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from prefiqs_jax.statistics.weighted import ratio


def kendall_without(
    x: Float[np.ndarray, " images"],
    y: Float[np.ndarray, " images"],
    groups: Int[np.ndarray, " images"],
) -> Float[np.ndarray, " groups"]:
    """Compute :func:`~prefiqs_jax.statistics.kendall` without each group.

    The pairs that leaving out a group takes away are those of its images with all
    images, less those within the group, which are counted twice: O(n log n) for all
    groups together.

    Parameters
    ----------
    x, y
        Shape (images,), finite.
    groups
        Shape (images,): which images are left out together, from 0 without gaps.

    Returns
    -------
    ndarray
        Shape (groups,); NaN where x or y is constant without the group.

    Examples
    --------
    >>> x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    >>> kendall_without(x, y, np.array([0, 1, 2, 2])).round(3)
    array([0.333, 1.   , 1.   ])
    """
    x, y = (np.unique(each, return_inverse=True)[1] for each in (x, y))
    all_of_them = np.zeros_like(groups)
    left = len(x) - np.bincount(groups)
    tau = _without(_concordant(x, y, all_of_them), _concordant(x, y, groups), groups)
    for each in (x, y):
        tied = _without(_equal(each, all_of_them), _equal(each, groups), groups)
        tau = ratio(tau, np.sqrt(left * (left - 1) / 2 - tied))
    return np.clip(tau, -1.0, 1.0)


def _without(
    with_all: NDArray[np.int64], within: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum over pairs without each group, given each image's sums."""
    gone = np.bincount(groups, with_all) - np.bincount(groups, within) / 2
    return with_all.sum() / 2 - gone


def _equal(values: NDArray[np.int64], within: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the other images of each image's group that have its value."""
    both = within * (values.max(initial=0) + 1) + values
    _, place, count = np.unique(both, return_inverse=True, return_counts=True)
    return count[place] - 1


def _concordant(
    x: NDArray[np.int64], y: NDArray[np.int64], within: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count, for each image, concordant minus discordant pairs within its group."""
    total = np.zeros(len(x), np.int64)
    for sign_x, sign_y in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
        one, other = sign_x * x, sign_y * y
        # Of one x the largest y first, so that none before it is smaller.
        order = np.lexsort((-other, one, within))
        # Earlier groups are above, so that none of theirs is smaller.
        ranked = (other - other.min()) + (within.max() - within) * (np.ptp(other) + 1)
        total[order] += sign_x * sign_y * _smaller_before(ranked[order])
    return total


def _smaller_before(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the smaller ones that stand before each number, bit by bit from the top.

    >>> _smaller_before(np.array([3, 1, 2, 2, 5]))
    array([0, 0, 1, 1, 4])
    """
    values = np.unique(values, return_inverse=True)[1]
    count = np.zeros(len(values), np.int64)
    # Numbers of the same upper bits side by side, in their order.
    index = np.arange(len(values))
    for bit in reversed(range(int(values.max(initial=0)).bit_length())):
        part = values[index] >> bit
        zero = 1 - (part & 1)
        before = np.cumsum(zero) - zero
        start = np.searchsorted(part >> 1, part >> 1)
        count[index] += (1 - zero) * (before - before[start])
        index = index[np.argsort(part, kind="stable")]
    return count
