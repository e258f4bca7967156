"""Order weights once, then cut anywhere: nested masks with exact counts.

A *level* is the index of the first sparsity at which a weight goes. Levels of one byte
replace a ranking of four: the mask at sparsity k is ``level > k``.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
    never = len(counts)
    levels = np.full(scores.shape, never, np.min_scalar_type(never))
    cuts = sorted({count - 1 for count in counts if count})
    if not cuts:
        return levels
    # One selection places every cut; sorting 65 million scores would take seconds.
    placed = np.partition(scores, cuts)
    thresholds = {cut + 1: placed[cut] for cut in cuts}
    del placed
    for level in range(never - 1, -1, -1):
        count = counts[level]
        if not count:
            break
        below = scores < thresholds[count]
        levels[below] = level
        tied = np.flatnonzero(scores == thresholds[count])
        levels[tied[: count - int(np.count_nonzero(below))]] = level
    return levels
