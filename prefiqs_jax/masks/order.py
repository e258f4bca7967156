"""Order weights once, then cut anywhere: nested masks with exact counts.

A *level* is the index of the first sparsity at which a weight goes. Levels of one byte
replace a ranking of four: the mask at sparsity k is ``level > k``.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.selection import Cut, cut_sorted, cuts_at


def pruning_levels(
    scores: NDArray, counts: Sequence[int]
) -> NDArray[np.unsignedinteger]:
    """Find at which count each of the lowest scores goes.

    For every ``count`` exactly that many entries have a level at or below its index:
    those with the smallest scores; of equal scores the earlier index goes first. So the
    sets are nested, whatever the ties.

    Parameters
    ----------
    scores
        One-dimensional, any real type, no NaN.
    counts
        Ascending numbers of entries to drop, each in ``[0, scores.size]``.

    Returns
    -------
    ndarray
        Same shape as ``scores``, the smallest unsigned type that holds ``len(counts)``,
        which is the level of an entry that never goes.

    Examples
    --------
    >>> pruning_levels(np.array([0.3, 0.1, 0.2, 0.1]), [1, 2, 3])
    array([3, 0, 2, 1], dtype=uint8)
    """
    return joint_levels([scores], counts)[0]


def joint_levels(
    parts: Sequence[NDArray], counts: Sequence[int]
) -> list[NDArray[np.unsignedinteger]]:
    """Find the levels of several arrays ranked together.

    The same as :func:`pruning_levels` of their concatenation, which is never made.

    Parameters
    ----------
    parts
        One-dimensional, any real types, no NaN. Of equal scores those in an earlier
        part go first.
    counts
        Ascending numbers of entries to drop, each from 0 to the number of all.

    Returns
    -------
    list of ndarray
        Levels of each part.
    """
    common = np.result_type(*parts)
    blocks = in_blocks(part.astype(common, copy=False) for part in parts)
    positive = [count for count in counts if count]
    cuts = cuts_at(blocks, positive) if positive else []
    return _levels(parts, blocks, cuts, len(counts))


def levels_by_sorted(
    scores: NDArray, ordered: NDArray, counts: Sequence[int]
) -> NDArray[np.unsignedinteger]:
    """Find the levels of scores whose sorted copy is at hand.

    The same as :func:`pruning_levels` of ``scores`` and ``counts``, sooner.

    Examples
    --------
    >>> scores = np.array([0.3, 0.1, 0.2, 0.1])
    >>> levels_by_sorted(scores, np.sort(scores), [1, 2, 3])
    array([3, 0, 2, 1], dtype=uint8)
    """
    cuts = [cut_sorted(ordered, count) for count in counts if count]
    return _levels([scores], in_blocks([scores]), cuts, len(counts))[0]


def _levels(
    parts: Sequence[NDArray], blocks: Sequence[NDArray], cuts: Sequence[Cut], never: int
) -> list[NDArray[np.unsignedinteger]]:
    """Compare every entry with each cut; levels before those are of counts of zero."""
    # Every entry stays at the counts of zero, which come first.
    levels = [
        np.full(part.shape, never - len(cuts), np.min_scalar_type(never))
        for part in parts
    ]
    if not cuts:
        return levels
    staying = _first_ties_that_stay(blocks, cuts)
    start = 0
    for block, level in zip(blocks, in_blocks(levels), strict=True):
        stays = np.empty(block.shape, bool)
        for cut, first in zip(cuts, staying, strict=True):
            split = min(max(first - start, 0), block.size)
            np.greater(block[:split], cut.threshold, out=stays[:split])
            np.greater_equal(block[split:], cut.threshold, out=stays[split:])
            level += stays.view(np.uint8)
        start += block.size
    return levels


def _first_ties_that_stay(blocks: Sequence[NDArray], cuts: Sequence[Cut]) -> list[int]:
    """Find, for each cut, the index of the first entry at its threshold that stays."""
    starts = [0, *itertools.accumulate(block.size for block in blocks)]
    split = [cut for cut in cuts if cut.goes < cut.tied]
    ties = [[np.count_nonzero(b == cut.threshold) for cut in split] for b in blocks]
    first = {}
    for cut, seen in zip(split, np.cumsum(ties, axis=0).T, strict=True):
        holder = int(np.searchsorted(seen, cut.goes, side="right"))
        passed = int(seen[holder - 1]) if holder else 0
        tied = np.flatnonzero(blocks[holder] == cut.threshold)
        first[cut] = starts[holder] + int(tied[cut.goes - passed])
    return [first.get(cut, starts[-1]) for cut in cuts]
