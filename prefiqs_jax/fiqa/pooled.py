"""All comparisons in the order of one quality, and where a weighted share of them ends.

A bootstrap replicate discards a share of its own comparisons. Which ones these are is
found without a list of 15 million weights per replicate: in the order of quality, all
comparisons of one image stand together, as a run, whose weight is its unit's weight
times a sum over those of its partners. One sparse product gives that of all runs.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse

from prefiqs_jax.fiqa.ordering import stable_order
from prefiqs_jax.fiqa.pairs import Pairs
from prefiqs_jax.fiqa.resampling import Units, blocks, sides
from prefiqs_jax.fiqa.threads import in_threads, usable_cores

# Comparisons of a run at most; those where a share ends are looked at one by one.
_LONGEST_RUN = 1024


class PooledOrder(NamedTuple):
    """All comparisons, lowest quality first, those of equal quality as listed."""

    place: Int[np.ndarray, " comparisons"]
    """Where each comparison stands in that order."""
    other: Int[np.ndarray, " comparisons"]
    """In that order, the unit on the better side."""
    run_start: Int[np.ndarray, " runs+1"]
    """Where each run of comparisons with one unit on the worse side starts."""
    run_unit: Int[np.ndarray, " runs"]
    """That unit."""
    group_start: Int[np.ndarray, " groups"]
    """Where each group of equal quality starts; empty unless needed."""


class Cut(NamedTuple):
    """Where the discard of each step ends: all before that place goes."""

    place: Int[np.ndarray, " steps"]
    split: Float[np.ndarray, " steps"]
    """Copies of the comparison at that place that go as well."""
    gone: Float[np.ndarray, " steps"]
    """Weight that goes in all."""


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
        How ties will be handled; "group" needs the groups of equal quality.

    Returns
    -------
    PooledOrder
        12 bytes a comparison beside the sort; ranks of images are sorted, as whole
        numbers, not qualities of comparisons.
    """
    count = len(pairs.first)
    distinct, rank = np.unique(image_quality, return_inverse=True)
    rank = rank.astype(np.int32)
    worse = np.empty(count, np.int32)
    for part in blocks(count):
        np.minimum(rank[pairs.first[part]], rank[pairs.second[part]], out=worse[part])
    order = stable_order(worse, len(distinct))
    group_start = np.zeros(0, np.intp)
    if "group" in ties:
        in_order = worse[order]
        group_start = np.flatnonzero(np.diff(in_order, prepend=-1))
    del worse
    place = np.empty(count, np.int32)
    one, other = np.empty(count, np.int32), np.empty(count, np.int32)
    for part in blocks(count):
        rows = order[part]
        place[rows] = np.arange(part.start, part.stop, dtype=np.int32)
        one[part], other[part] = _by_rank(pairs, units, rows, rank)
    del order
    is_start = np.ones(count, np.bool_)
    is_start[1:] = one[1:] != one[:-1]
    is_start[::_LONGEST_RUN] = True
    start = np.flatnonzero(is_start)
    return PooledOrder(place, other, np.append(start, count), one[start], group_start)


def run_weights(
    order: PooledOrder, weights: NDArray[np.float32]
) -> Float[np.ndarray, "replicates runs"]:
    """Sum the weights of the comparisons of each run.

    Parameters
    ----------
    order
        Of one quality.
    weights
        Shape (replicates, units + 1).

    Returns
    -------
    ndarray
        Shape (replicates, runs), float32; whole numbers, exact up to 2²⁴.
    """
    table = np.ascontiguousarray(weights.T)
    runs = len(order.run_unit)
    found = np.empty((len(weights), runs), np.float32)
    size = max(1, -(-runs // (8 * usable_cores())))

    def work(first: int) -> None:
        last = min(first + size, runs)
        bounds = order.run_start[first : last + 1]
        columns = order.other[bounds[0] : bounds[-1]]
        ones = np.ones(len(columns), np.float32)
        parts = (ones, columns, (bounds - bounds[0]).astype(np.int32))
        part = sparse.csr_array(parts, shape=(last - first, len(table)))
        sums = part @ table
        sums *= table[order.run_unit[first:last]]
        found[:, first:last] = sums.T

    in_threads(work, range(0, runs, size))
    return found


def find_cut(
    order: PooledOrder,
    before: NDArray[np.float64],
    weight: NDArray[np.float32],
    target: NDArray[np.float64],
    *,
    ties: str,
) -> Cut:
    """Find the places before which a given weight lies, in one replicate.

    Parameters
    ----------
    order
        Of one quality.
    before
        Shape (runs + 1,): weight of all runs before each, and the total.
    weight
        Shape (units + 1,): how often each unit was drawn.
    target
        Shape (steps,): weight to discard, whole numbers below the total.
    ties
        "stable", or "group": of comparisons of equal quality all stay if not all of
        them may go.

    Returns
    -------
    Cut
        One place for each step.
    """
    place = np.empty(len(target), np.intp)
    split = np.empty(len(target))
    for step, run in enumerate(np.searchsorted(before, target, side="right") - 1):
        inside = np.cumsum(_of_run(order, run, weight))
        rest = target[step] - before[run]
        here = int(np.searchsorted(inside, rest, side="right"))
        place[step] = order.run_start[run] + here
        split[step] = rest - (inside[here - 1] if here else 0)
    if ties == "stable":
        return Cut(place, split, target)
    group = np.searchsorted(order.group_start, place, side="right") - 1
    place = order.group_start[group]
    gone = np.empty(len(target))
    for step, run in enumerate(np.searchsorted(order.run_start, place, "right") - 1):
        here = place[step] - order.run_start[run]
        gone[step] = before[run] + _of_run(order, run, weight)[:here].sum()
    return Cut(place, np.zeros(len(target)), gone)


def _of_run(
    order: PooledOrder, run: int, weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    other = order.other[order.run_start[run] : order.run_start[run + 1]]
    return weight[other] * weight[order.run_unit[run]]


def _by_rank(
    pairs: Pairs, units: Units, rows: NDArray[np.intp], rank: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give the units of each comparison, that of the worse image first."""
    one, other = sides(pairs, units, rows)
    # A mated pair of an identity has that identity first already.
    is_second = rank[pairs.first[rows]] > rank[pairs.second[rows]]
    if units.kind == "identity":
        is_second &= ~pairs.mated[rows]
    if units.kind == "comparison":
        is_second[:] = False
    return np.where(is_second, other, one), np.where(is_second, one, other)
