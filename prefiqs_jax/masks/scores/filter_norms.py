"""Score whole filters by the norm of their weights."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry
from prefiqs_jax.types import Score


def filter_norm(order: int) -> Score:
    """Make the score of a filter: the L1 or L2 norm of its weights.

    Parameters
    ----------
    order
        1 or 2.

    Returns
    -------
    Score
        ``(name, weights) -> norms`` with axes of length 1 but for the outputs': whole
        filters go.

    References
    ----------
    Li et al. (2017). Pruning filters for efficient ConvNets. ICLR. arXiv:1608.08710,
    Section 3. Equals the norms of ``torch.nn.utils.prune.ln_structured(dim=0)``.

    Examples
    --------
    >>> filter_norm(2)("fc", np.array([[3.0, 1.0], [4.0, 0.0]]))
    array([[5., 1.]])
    """

    def score(name: str, weights: NDArray, context: Context | None = None) -> NDArray:
        # In float64: torch's sums differ in the last digit with their order.
        size = np.abs(np.asarray(weights, np.float64)) ** order
        last = weights.ndim - 1
        output = last if context is None else context.axes(name, last)[0]
        axes = tuple(axis for axis in range(weights.ndim) if axis != output)
        return size.sum(axis=axes, keepdims=True) ** (1 / order)

    score.__name__ = f"l{order}"
    return score


def _entry(order: int, formula: str) -> ScoreEntry:
    make: Callable[[int], Score] = lambda _: filter_norm(order)  # noqa: E731
    return ScoreEntry(
        f"l{order}",
        f"whole filters of the least L{order} norm go first",
        make,
        formula,
        "Li et al. (2017), ICLR, arXiv:1608.08710, Section 3",
    )


ENTRIES = (
    _entry(1, "Σ |w| over the filter"),
    _entry(2, "(Σ w²)^½ over the filter"),
)
