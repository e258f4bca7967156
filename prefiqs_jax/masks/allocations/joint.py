"""One ranking of the whole network, by the scores as they are or by LAMP's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels
from prefiqs_jax.masks.order import joint_levels


def _rank_together(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    parts = [leaf.scores.ravel() for leaf in leaves]
    sizes = [leaf.size for leaf in leaves]
    counts = [round(p * sum(sizes)) for p in sparsities]
    if sum(part.size for part in parts) < sum(sizes):
        counts = _filter_counts(parts, sizes, counts)
    return [
        levels.reshape(leaf.scores.shape)
        for levels, leaf in zip(joint_levels(parts, counts), leaves, strict=True)
    ]


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


def _rank_lamp(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    return _rank_together(
        [leaf._replace(scores=lamp_scores(leaf)) for leaf in leaves], sparsities
    )


def lamp_scores(leaf: Leaf) -> NDArray:
    """Divide each squared score by the sum of those of its layer that are as large.

    Parameters
    ----------
    leaf
        With scores of at least 0, such as magnitudes.

    Returns
    -------
    ndarray
        Shaped as the scores, float64, in (0, 1]. The largest of a layer has 1, so that
        no layer loses its last weight while another has some to spare. Of equal scores
        the earlier has the smaller.

    Raises
    ------
    InputError
        If a score is negative or infinite.

    References
    ----------
    Lee et al. (2021). Layer-adaptive sparsity for the magnitude-based pruning. ICLR.
    arXiv:2010.07611, Equation 4.
    """
    flat = leaf.scores.ravel().astype(np.float64)
    if flat.size and not (flat.min() >= 0 and np.isfinite(flat.max())):
        message = (
            f"{leaf.name}: lamp adds up squared scores, so they must be finite and at "
            "least 0; use another allocation, such as global"
        )
        raise InputError(message)
    order = np.argsort(flat, kind="stable")
    squares = flat[order] ** 2
    # What is left of the layer when all smaller ones are gone, itself included.
    left = np.cumsum(squares[::-1])[::-1]
    found = np.empty_like(flat)
    found[order] = np.divide(squares, left, out=np.zeros_like(left), where=left > 0)
    return found.reshape(leaf.scores.shape)


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

lamp = Allocation(
    "lamp",
    "one ranking of all weights by their share of what is left of their layer",
    _rank_lamp,
    "global, by score² / Σ score'² over the layer's scores' >= score",
    "Lee et al. (2021), ICLR, arXiv:2010.07611, Equation 4",
)
"""Drop globally by layer-adaptive scores: see :func:`lamp_scores`."""
