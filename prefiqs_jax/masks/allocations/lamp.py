"""One ranking of all weights by their share of what is left of their layer (LAMP)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels
from prefiqs_jax.masks.allocations.joint import joint_counts
from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.order import levels_by_sorted


def lamp_shares(ordered: Num[np.ndarray, " scores"]) -> Float[np.ndarray, " scores"]:
    """Divide each squared score by the sum of those of its layer that are as large.

    Parameters
    ----------
    ordered
        Scores of one layer, ascending, at least 0, such as magnitudes.

    Returns
    -------
    ndarray
        Ascending, float64, in [0, 1]. The last has 1, so that no layer loses its last
        weight while another has some to spare. Of equal scores the earlier has the
        smaller share, for the later is left when it goes.

    References
    ----------
    Lee et al. (2021). Layer-adaptive sparsity for the magnitude-based pruning. ICLR.
    arXiv:2010.07611: the LAMP score.

    Examples
    --------
    >>> lamp_shares(np.array([1.0, 1.0, 2.0])).round(3).tolist()
    [0.167, 0.2, 1.0]
    """
    shares = np.empty(ordered.size, np.float64)
    left = 0.0
    cut = zip(in_blocks([ordered]), in_blocks([shares]), strict=True)
    for block, out in reversed(list(cut)):
        squares = np.square(block, dtype=np.float64)
        # What is left of the layer when all smaller ones are gone, itself included.
        sums = np.cumsum(squares[::-1])[::-1] + left
        left = float(sums[0])
        np.divide(squares, sums, out=out, where=sums > 0)
        out[sums == 0] = 0
    return shares


def counts_below(shares: Sequence[NDArray[np.float64]], count: int) -> list[int]:
    """Split the number of weights that go among the layers.

    Parameters
    ----------
    shares
        LAMP scores of each layer, ascending, at least 0.
    count
        How many of the lowest go in all; of equal ones an earlier layer's go first.

    Returns
    -------
    list of int
        How many of each layer's lowest go.

    Examples
    --------
    >>> counts_below([np.array([0.1, 0.5, 1.0]), np.array([0.2, 0.5, 1.0])], 3)
    [2, 1]
    """
    # Positive doubles are ordered as their bits are, so that bisecting the bits finds
    # the threshold itself in 63 steps.
    low, high = 0, int(np.float64(np.inf).view(np.int64))
    while low < high:
        middle = (low + high) // 2
        threshold = np.int64(middle).view(np.float64)
        found = sum(int(s.searchsorted(threshold, "right")) for s in shares)
        low, high = (low, middle) if found >= count else (middle + 1, high)
    threshold = np.int64(low).view(np.float64)
    below = [int(s.searchsorted(threshold, "left")) for s in shares]
    ties = [int(s.searchsorted(threshold, "right")) for s in shares]
    missing = count - sum(below)
    counts = []
    for first, last in zip(below, ties, strict=True):
        more = min(missing, last - first)
        counts.append(first + more)
        missing -= more
    return counts


def _rank_lamp(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    ordered = [_sorted(leaf) for leaf in leaves]
    shares = [lamp_shares(scores) for scores in ordered]
    counts = joint_counts(shares, [leaf.size for leaf in leaves], sparsities)
    each = zip(*(counts_below(shares, count) for count in counts), strict=True)
    return [
        levels_by_sorted(leaf.scores.ravel(), scores, own).reshape(leaf.scores.shape)
        for leaf, scores, own in zip(leaves, ordered, each, strict=True)
    ]


def _sorted(leaf: Leaf) -> NDArray:
    ordered = np.sort(leaf.scores, axis=None)
    if ordered.size and not (ordered[0] >= 0 and np.isfinite(ordered[-1])):
        message = (
            f"{leaf.name}: lamp adds up squared scores, so they must be finite and at "
            "least 0; use another allocation, such as global"
        )
        raise InputError(message)
    return ordered


lamp = Allocation(
    "lamp",
    "one ranking of all weights by their share of what is left of their layer",
    _rank_lamp,
    "global, by score² / Σ score'² over the layer's scores' >= score",
    "Lee et al. (2021), ICLR, arXiv:2010.07611",
)
"""Drop globally by layer-adaptive scores: see :func:`lamp_shares`."""
