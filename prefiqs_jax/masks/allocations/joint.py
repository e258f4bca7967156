"""One ranking of the whole network, by the scores as they are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels
from prefiqs_jax.masks.order import joint_levels


def _rank_together(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    parts = [leaf.scores.ravel() for leaf in leaves]
    counts = joint_counts(parts, [leaf.size for leaf in leaves], sparsities)
    return [
        levels.reshape(leaf.scores.shape)
        for levels, leaf in zip(joint_levels(parts, counts), leaves, strict=True)
    ]


def joint_counts(
    parts: list[NDArray], sizes: list[int], sparsities: Sequence[float]
) -> list[int]:
    """Find how many of all scores go at each sparsity of the weights.

    Parameters
    ----------
    parts
        Scores of each layer, one-dimensional; each stands for as many weights as the
        others of its layer.
    sizes
        Weights of each layer.
    sparsities
        Ascending.

    Returns
    -------
    list of int
        ``round(s n)`` where each weight has a score; else the number of scores that
        brings the weights nearest to it, the lowest going first.
    """
    counts = [round(p * sum(sizes)) for p in sparsities]
    if sum(part.size for part in parts) < sum(sizes):
        return _filter_counts(parts, sizes, counts)
    return counts


def _filter_counts(
    parts: list[NDArray], sizes: list[int], targets: list[int]
) -> list[int]:
    """Find how many scores go, of several weights each, for counts of weights."""
    weight = np.concatenate(
        [
            np.full(p.size, n // max(1, p.size))
            for p, n in zip(parts, sizes, strict=True)
        ]
    )
    order = np.argsort(np.concatenate(parts), kind="stable")
    dropped = np.cumsum(weight[order])
    return [_nearest_count(dropped, target) for target in targets]


def _nearest_count(dropped: NDArray, target: int) -> int:
    count = int(np.searchsorted(dropped, target, side="right"))
    before = int(dropped[count - 1]) if count else 0
    if count < dropped.size and int(dropped[count]) - target < target - before:
        count += 1
    return count


globally = Allocation(
    "global",
    "one ranking of all prunable weights",
    _rank_together,
    "the round(s n) lowest scores of all n prunable weights; equal ones by index",
    "Kolf et al. (2026), arXiv:2605.13396; counts as torch's global_unstructured",
)
"""Drop the lowest scores of the whole network, whichever layer they are in.

Exactly ``round(sparsity · n)`` of all n prunable weights go; of equal scores the
earlier one goes first, in the order of the tree. Scores of whole filters are ranked
together, and filters go while that brings the count of weights nearer its target.

>>> from prefiqs_jax.masks import globally, magnitude
>>> params = {"a": np.array([[0.1, 0.2]]), "b": np.array([[3.0, -4.0]])}
>>> mask = globally(magnitude)(params, 0.5)
>>> mask["a"].tolist(), mask["b"].tolist()
([[False, False]], [[True, True]])
"""
