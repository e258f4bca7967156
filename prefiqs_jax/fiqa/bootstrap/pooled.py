"""All comparisons in the order of one quality, with cumulative weights.

A bootstrap replicate discards a share of its own comparisons. Where that ends is found
without a list of 15 million weights per replicate: weights are summed in blocks, for
all replicates at once, and only in the block where a share ends are comparisons looked
at one by one.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from prefiqs_jax.execution.threads import in_threads
from prefiqs_jax.fiqa.bootstrap.resampling import Units, blocks, sides
from prefiqs_jax.fiqa.discard.cuts import Order, group_bounds
from prefiqs_jax.fiqa.ordering import stable_order
from prefiqs_jax.fiqa.verification.pairs import Pairs

BLOCK = 2**11
"""Comparisons of a block: few enough to be looked at one by one for each step."""
# Numbers of a block and of replicates that a thread multiplies, within its cache.
_AT_ONCE = 2**18


class PooledOrder(NamedTuple):
    """All comparisons, lowest quality first, those of equal quality as listed."""

    place: Int[np.ndarray, " comparisons"]
    """Where each comparison stands in that order."""
    one: Int[np.ndarray, " comparisons"]
    other: Int[np.ndarray, " comparisons"]
    """In that order, the units whose weights multiply to that of the comparison."""
    group_start: Int[np.ndarray, " starts"]
    """Where each group of equal quality starts, and how many comparisons there are."""

    def weighted(
        self, before: NDArray[np.float64], weight: NDArray[np.float32]
    ) -> Order:
        """Give the order of one replicate.

        ``before`` is its row of :func:`weight_before`, ``weight`` how often each unit
        was drawn.
        """

        @functools.cache
        def inside(block: int) -> NDArray[np.float64]:
            part = slice(block * BLOCK, (block + 1) * BLOCK)
            each = weight[self.one[part]] * weight[self.other[part]]
            return before[block] + np.append(0.0, np.cumsum(each, dtype=np.float64))

        def weight_before(place: NDArray[np.intp]) -> NDArray[np.float64]:
            last = len(before) - 2
            block = np.minimum(place // BLOCK, last)
            at = place - block * BLOCK
            pairs = zip(block.tolist(), at.tolist(), strict=True)
            return np.array([inside(one)[row] for one, row in pairs])

        def place_of(gone: NDArray[np.intp]) -> NDArray[np.intp]:
            block = np.searchsorted(before, gone, side="right") - 1
            at = [
                np.searchsorted(inside(one), each, side="right") - 1
                for one, each in zip(block.tolist(), gone.tolist(), strict=True)
            ]
            return block * BLOCK + at

        return Order(self.group_start, before[-1], weight_before, place_of)


def pooled_order(
    pairs: Pairs, units: Units, image_quality: NDArray[np.float64]
) -> PooledOrder:
    """Sort all comparisons by the lower quality of their images.

    Takes at most 8 bytes a comparison, and up to 16 while they are sorted: by ranks of
    images, which are whole numbers, not by qualities of comparisons.
    """
    count = len(pairs.first)
    distinct, rank = np.unique(image_quality, return_inverse=True)
    rank = rank.astype(np.int32)
    worse = np.empty(count, np.int32)
    for part in blocks(count):
        np.minimum(rank[pairs.first[part]], rank[pairs.second[part]], out=worse[part])
    order = stable_order(worse, len(distinct))
    group_start = group_bounds(worse[order])
    del worse
    place = np.empty(count, np.int32)
    place[order] = np.arange(count, dtype=np.int32)
    one, other = np.empty(count, units.dtype), np.empty(count, units.dtype)
    for part in blocks(count):
        one[part], other[part] = sides(pairs, units, order[part])
    return PooledOrder(place, one, other, group_start)


def weight_before(
    one: NDArray[np.integer], other: NDArray[np.integer], weights: NDArray[np.float32]
) -> Float[np.ndarray, "replicates starts"]:
    """Sum the weights of the comparisons before each block, and of all."""
    table = np.ascontiguousarray(weights.T)
    before = np.zeros((-(-len(one) // BLOCK) + 1, len(weights)))
    size = max(1, _AT_ONCE // len(weights))

    def work(block: int) -> None:
        end = min((block + 1) * BLOCK, len(one))
        for start in range(block * BLOCK, end, size):
            part = slice(start, min(start + size, end))
            # Whole numbers below 2²⁴, which float32 holds.
            before[block + 1] += np.einsum(
                "cr,cr->r", table[one[part]], table[other[part]]
            )

    in_threads(work, range(len(before) - 1))
    return np.cumsum(before, axis=0).T
