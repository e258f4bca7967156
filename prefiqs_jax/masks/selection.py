"""Where a ranking is cut, exactly, without sorting what is ranked.

Every cut is bracketed by two values of a small sample, and only what lies between them
is sorted. The sample decides how long that takes, never what comes out: how many
entries lie below each of its values is counted over all of them.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SORTED_WHOLE = 2**16  # entries that are sorted sooner than sampled
# One entry in as many is sampled: a prime, so that no filter or channel is passed over.
STRIDE = 31
# Standard deviations, of the ranks of a sample, from a cut to each side of its bracket.
SPREAD = 4


@dataclasses.dataclass(frozen=True)
class Cut:
    """A cut through a ranking.

    Attributes
    ----------
    threshold
        What is below goes, what is above stays.
    goes
        How many of those equal to the threshold go, at least one.
    tied
        How many there are.
    """

    threshold: Any
    goes: int
    tied: int


def cuts_at(blocks: Sequence[NDArray], counts: Sequence[int]) -> list[Cut]:
    """Find the cuts that drop each count of the lowest entries.

    Parameters
    ----------
    blocks
        One-dimensional arrays of one real type, ranked together. No NaN.
    counts
        Numbers of entries to drop, each from 1 to the number of all.

    Returns
    -------
    list of Cut
        One for each count.

    Examples
    --------
    >>> cuts_at([np.array([3, 1, 2]), np.array([1])], [1, 3])
    [Cut(threshold=np.int64(1), goes=1, tied=2), Cut(threshold=np.int64(2), goes=1, \
tied=1)]
    """
    size = sum(block.size for block in blocks)
    if size <= SORTED_WHOLE:
        ordered = np.sort(np.concatenate(blocks))
        return [cut_sorted(ordered, count) for count in counts]
    edges = _edges(np.concatenate([b[::STRIDE] for b in blocks]), size, counts)
    below = [0, *_totals(blocks, edges, np.less), size]
    bounds = [None, *edges, None]
    # Interval i holds bounds[i] <= entry < bounds[i + 1], and ranks from below[i] on.
    held = [int(np.searchsorted(below[1:-1], count)) for count in counts]
    ranks = [count - below[i] for count, i in zip(counts, held, strict=True)]
    # However many equal the edge below a cut, they need no sorting.
    lows = sorted(set(held) - {0})
    equal = _totals(blocks, [bounds[i] for i in lows], np.equal)
    tied = {0: 0, **dict(zip(lows, equal, strict=True))}
    needed = {i for i, rank in zip(held, ranks, strict=True) if rank > tied[i]}
    inside = _insides(blocks, {i: (bounds[i], bounds[i + 1]) for i in needed})
    return [
        cut_sorted(inside[i], rank - tied[i])
        if rank > tied[i]
        else Cut(bounds[i], rank, tied[i])
        for i, rank in zip(held, ranks, strict=True)
    ]


def _totals(
    blocks: Sequence[NDArray], values: Sequence[Any], compare: np.ufunc
) -> list[int]:
    """Count the entries that compare so with each value."""
    each = [[np.count_nonzero(compare(b, value)) for value in values] for b in blocks]
    return [int(total) for total in np.array(each).sum(axis=0)]


def _insides(
    blocks: Sequence[NDArray], intervals: dict[int, tuple[Any, Any]]
) -> dict[int, NDArray]:
    """Sort what lies strictly inside each interval."""
    found = [[_inside(b, *ends) for ends in intervals.values()] for b in blocks]
    return {
        i: np.sort(np.concatenate(pieces))
        for i, pieces in zip(intervals, zip(*found, strict=True), strict=True)
    }


def _edges(sample: NDArray, size: int, counts: Sequence[int]) -> list[Any]:
    sample.sort()
    margin = SPREAD * math.sqrt(sample.size) / 2
    places = set()
    for count in counts:
        middle = sample.size * count / size
        places |= {math.floor(middle - margin), math.ceil(middle + margin)}
    values = [sample[place] for place in sorted(places) if 0 <= place < sample.size]
    return [value for value, _ in itertools.groupby(values)]


def _inside(block: NDArray, low: Any, high: Any) -> NDArray:
    if low is None:
        return block if high is None else block[block < high]
    above = block > low
    if high is not None:
        above &= block < high
    return block[above]


def cut_sorted(ordered: NDArray, count: int) -> Cut:
    """Find the cut that drops the ``count`` lowest entries, at least one."""
    threshold = ordered[count - 1]
    first = int(np.searchsorted(ordered, threshold, side="left"))
    last = int(np.searchsorted(ordered, threshold, side="right"))
    return Cut(threshold, count - first, last - first)
