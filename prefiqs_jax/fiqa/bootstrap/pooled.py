"""All comparisons in the order of one quality, and where a weighted share of them ends.

A bootstrap replicate discards a share of its own comparisons. Which ones these are is
found without a list of 15 million weights per replicate: in the order of quality, all
comparisons of one image stand together, as a run, whose weight is its unit's weight
times a sum over those of its partners. One sparse product gives that of all runs, and
only in the block of runs where a share ends are comparisons looked at one by one.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse

from prefiqs_jax.execution.threads import in_threads, usable_cores
from prefiqs_jax.fiqa.bootstrap.resampling import Units, blocks, sides
from prefiqs_jax.fiqa.discard.cuts import Cut
from prefiqs_jax.fiqa.ordering import stable_order
from prefiqs_jax.fiqa.verification.pairs import Pairs

# Comparisons of a run at most, and of a block of runs, about.
_LONGEST_RUN = 1024
_BLOCK = 2**12


class PooledOrder(NamedTuple):
    """All comparisons, lowest quality first, those of equal quality as listed."""

    place: Int[np.ndarray, " comparisons"]
    """Where each comparison stands in that order."""
    other: Int[np.ndarray, " comparisons"]
    """In that order, the unit on the better side."""
    run_start: Int[np.ndarray, " runs+1"]
    """Where each run of comparisons with one unit on the worse side starts, and the
    last one ends."""
    run_unit: Int[np.ndarray, " runs"]
    """That unit."""
    block_start: Int[np.ndarray, " blocks+1"]
    """The first run of each block of runs, and the number of runs."""
    group_start: Int[np.ndarray, " groups"]
    """Where each group of equal quality starts; empty unless needed."""


def pooled_order(
    pairs: Pairs,
    units: Units,
    image_quality: NDArray[np.float64],
    *,
    ties: Collection[str],
) -> PooledOrder:
    """Sort all comparisons by the lower quality of their images.

    Parameters
    ----------
    pairs, units
        Comparisons, and what is drawn.
    image_quality
        Shape (images,).
    ties
        How ties will be handled; all but "listed" needs the groups of equal quality.

    Returns
    -------
    PooledOrder
        At most 8 bytes a comparison, and up to 16 while they are sorted: by ranks of
        images, which are whole numbers, not by qualities of comparisons.
    """
    count = len(pairs.first)
    order, group_start = _by_quality(pairs, image_quality, ties)
    place = np.empty(count, np.int32)
    place[order] = np.arange(count, dtype=np.int32)
    one, other = _worse_first(pairs, units, image_quality)
    # One after the other: of hundreds of millions, each list takes its gigabyte.
    other = other[order]
    one = one[order]
    del order
    is_start = np.ones(count, np.bool_)
    is_start[1:] = one[1:] != one[:-1]
    is_start[::_LONGEST_RUN] = True
    start = np.flatnonzero(is_start)
    in_block = start // _BLOCK
    block = np.flatnonzero(np.diff(in_block, prepend=-1))
    return PooledOrder(
        place,
        other,
        np.append(start, count),
        one[start],
        np.append(block, len(start)),
        group_start,
    )


def weight_before(
    order: PooledOrder, weights: NDArray[np.float32]
) -> Float[np.ndarray, "replicates 1+blocks"]:
    """Sum the weights of the comparisons before each block of runs, and of all.

    Parameters
    ----------
    order
        Of one quality.
    weights
        Shape (replicates, units + 1).

    Returns
    -------
    ndarray
        Shape (replicates, 1 + blocks), whole numbers.
    """
    table = np.ascontiguousarray(weights.T)
    blocks_count = len(order.block_start) - 1
    before = np.zeros((len(weights), blocks_count + 1))
    size = max(1, -(-blocks_count // (16 * usable_cores())))

    def work(first: int) -> None:
        bounds = order.block_start[first : first + size + 1]
        runs = order.run_start[bounds[0] : bounds[-1] + 1]
        columns = order.other[runs[0] : runs[-1]].astype(np.int32)
        # Whole numbers below 2²⁴, which float32 holds.
        ones = np.ones(len(columns), np.float32)
        parts = (ones, columns, (runs - runs[0]).astype(np.int32))
        part = sparse.csr_array(parts, shape=(len(runs) - 1, len(table)))
        sums = part @ table
        sums *= table[order.run_unit[bounds[0] : bounds[-1]]]
        starts = bounds[:-1] - bounds[0]
        found = np.add.reduceat(sums, starts, axis=0, dtype=np.float64)
        before[:, first + 1 : first + len(bounds)] = found.T

    in_threads(work, range(0, blocks_count, size))
    return np.cumsum(before, axis=1, out=before)


def find_cut(
    order: PooledOrder,
    before: NDArray[np.float64],
    weight: NDArray[np.float32],
    target: NDArray[np.float64],
    *,
    ties: str,
) -> tuple[Cut, Float[np.ndarray, " steps"]]:
    """Find the places before which a given weight lies, in one replicate.

    Parameters
    ----------
    order
        Of one quality.
    before
        Shape (1 + blocks,): of :func:`weight_before`.
    weight
        Shape (units + 1,): how often each unit was drawn.
    target
        Shape (steps,): weight to discard, whole numbers below the total.
    ties
        As of a :class:`Protocol`. If "listed", a cut may end between the copies of one
        comparison, which then stays in part.

    Returns
    -------
    tuple
        One cut for each step, and the weight that goes in all.
    """
    start = np.empty(len(target), np.intp)
    size, gone_before = np.empty(len(target)), np.empty(len(target))
    for step, block in enumerate(np.searchsorted(before, target, side="right") - 1):
        first, inside = _of_block(order, int(block), weight)
        rest = target[step] - before[block]
        here = int(np.searchsorted(inside, rest, side="right"))
        start[step] = first + here
        gone_before[step] = before[block] + (inside[here - 1] if here else 0)
        size[step] = before[block] + inside[here] - gone_before[step]
    end = start + 1
    if ties != "listed":
        group = np.searchsorted(order.group_start, start, side="right")
        start = order.group_start[group - 1]
        end = np.append(order.group_start, len(order.place))[group]
        gone_before = _weight_at(order, before, weight, start)
        size = _weight_at(order, before, weight, end) - gone_before
    if ties == "group":
        one = np.ones(len(target))
        return Cut(start, start, one, one), gone_before
    kept = gone_before + size - target
    whole = kept == size
    return (
        Cut(
            start,
            np.where(whole, start, end),
            np.where(whole, 1, kept),
            np.where(whole, 1, size),
        ),
        target,
    )


def _weight_at(
    order: PooledOrder,
    before: NDArray[np.float64],
    weight: NDArray[np.float32],
    place: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Sum the weights of the comparisons before each place."""
    found = np.full(len(place), before[-1])
    starts = order.run_start[order.block_start]
    for step in np.flatnonzero(place < len(order.place)):
        block = int(np.searchsorted(starts, place[step], side="right")) - 1
        first, inside = _of_block(order, block, weight)
        here = place[step] - first
        found[step] = before[block] + (inside[here - 1] if here else 0)
    return found


def _of_block(
    order: PooledOrder, block: int, weight: NDArray[np.float32]
) -> tuple[int, NDArray[np.float64]]:
    """Give where a block starts, and the weight up to each of its comparisons."""
    runs = slice(order.block_start[block], order.block_start[block + 1])
    bounds = order.run_start[runs.start : runs.stop + 1]
    one = np.repeat(weight[order.run_unit[runs]], np.diff(bounds))
    each = one * weight[order.other[bounds[0] : bounds[-1]]]
    return int(bounds[0]), np.cumsum(each, dtype=np.float64)


def _by_quality(
    pairs: Pairs, image_quality: NDArray[np.float64], ties: Collection[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Sort the comparisons, and list the groups of equal quality if needed."""
    distinct, rank = np.unique(image_quality, return_inverse=True)
    rank = rank.astype(np.int32)
    worse = np.empty(len(pairs.first), np.int32)
    for part in blocks(len(worse)):
        np.minimum(rank[pairs.first[part]], rank[pairs.second[part]], out=worse[part])
    order = stable_order(worse, len(distinct))
    if set(ties) == {"listed"}:
        return order, np.zeros(0, np.intp)
    return order, np.flatnonzero(np.diff(worse[order], prepend=-1))


def _worse_first(
    pairs: Pairs, units: Units, image_quality: NDArray[np.float64]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Give the units of each comparison, as listed, that of the worse image first."""
    one = np.empty(len(pairs.first), units.dtype)
    other = np.empty_like(one)
    for part in blocks(len(one)):
        left, right = sides(pairs, units, part)
        if units.kind == "comparison":
            one[part], other[part] = left, right
            continue
        quality = image_quality[pairs.first[part]], image_quality[pairs.second[part]]
        is_second = quality[0] > quality[1]
        if units.kind == "identity":
            # A mated comparison has its identity first already.
            is_second &= ~pairs.mated[part]
        one[part] = np.where(is_second, right, left)
        other[part] = np.where(is_second, left, right)
    return one, other
