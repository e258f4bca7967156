"""A sparsity for each layer: the same, by its shape, by its place, or as given."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from prefiqs_jax.errors import InputError, UnreachableSparsityError
from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels
from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.order import pruning_levels

Rates = Callable[[Sequence[Leaf], Context | None], Sequence[float]]
"""``(leaves, context) -> rates``, in whose proportion the layers are kept or lost."""


def by_layer(leaves: Sequence[Leaf], fractions: Sequence[Sequence[float]]) -> Levels:
    """Cut each layer's own ranking.

    Parameters
    ----------
    leaves
        The layers.
    fractions
        For each of them the fraction to drop at each sparsity, ascending.

    Returns
    -------
    list of ndarray
        Exactly ``round(fraction · n)`` of a layer's n scores go; equal ones by index.
    """
    return [
        pruning_levels(
            leaf.scores.ravel(), [round(p * leaf.scores.size) for p in each]
        ).reshape(leaf.scores.shape)
        for leaf, each in zip(leaves, fractions, strict=True)
    ]


def _rank_each(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    return by_layer(leaves, [sparsities] * len(leaves))


def erk_rates(leaf: Leaf) -> float:
    """Compute the density of a layer that ERK gives, but for a common factor.

    Returns
    -------
    float
        Sum of the axes' lengths over their product: (n_in + n_out + height + width) /
        (n_in n_out height width) of a convolution, (n_in + n_out) / (n_in n_out) of a
        dense layer.

    References
    ----------
    Evci et al. (2020). Rigging the lottery. ICML. arXiv:1911.11134, Section 3,
    "Erdős-Rényi-Kernel".

    Examples
    --------
    >>> erk_rates(Leaf("fc", (4, 2), np.zeros((4, 2)), 1, 0))
    0.75
    """
    return sum(leaf.shape) / max(1, leaf.size)


def _rank_erk(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    rates = np.array([erk_rates(leaf) for leaf in leaves])
    sizes = np.array([leaf.size for leaf in leaves])
    kept = np.array([_scaled(rates, sizes, 1 - s) for s in sparsities])
    return by_layer(leaves, (1 - kept.T).tolist())


def _scaled(rates: np.ndarray, sizes: np.ndarray, fraction: float) -> np.ndarray:
    """Scale rates, none above 1, until they are this fraction of all weights."""
    total = sizes.sum()

    def excess(log_factor: float) -> float:
        return float(
            sizes @ np.minimum(1, np.exp(log_factor) * rates) / total - fraction
        )

    if fraction >= 1:
        return np.ones_like(rates)
    used = rates[(rates > 0) & (sizes > 0)]
    reach = float(sizes[rates > 0].sum() / total)
    if fraction >= reach:
        return np.where(rates > 0, 1.0, 0.0)
    if fraction <= 0:
        return np.zeros_like(rates)
    low, high = np.log(fraction / used.max()) - 1, np.log(1 / used.min()) + 1
    found: Any = scipy.optimize.brentq(
        excess, low, high, xtol=1e-13, rtol=np.float64(1e-14)
    )
    return np.minimum(1, np.exp(found) * rates)


def _rank_inner(
    leaves: Sequence[Leaf], sparsities: Sequence[float], context: Context | None
) -> Levels:
    """Cut the rankings of all layers but the first and the last.

    References
    ----------
    Gale, Elsen and Hooker (2019). The state of sparsity in deep neural networks.
    arXiv:1902.09574, Section 5.
    """
    assert context is not None  # RankedMask has seen to it
    places = [context.order(leaf.name) for leaf in leaves]
    ends = {int(np.argmin(places)), int(np.argmax(places))}
    rates = [0.0 if i in ends else 1.0 for i in range(len(leaves))]
    return _rank_rates(
        leaves, sparsities, rates, "uniform+: the layers between the first and the last"
    )


def budgets(fractions: Mapping[str, float]) -> Allocation:
    """Make the allocation that prunes layers in given proportions.

    Parameters
    ----------
    fractions
        Leaf name to the sparsity wanted there, in [0, 1]; leaves that are not named
        keep all their weights. At a sparsity of the whole network that is not the sum
        of these, all of them are scaled by one factor, none beyond 1.

    Returns
    -------
    Allocation
        Its masks raise InputError if the leaves named cannot lose so many weights, or a
        name is no prunable leaf's.

    Examples
    --------
    >>> from prefiqs_jax.masks import budgets, magnitude
    >>> params = {"a": np.array([[1.0, 2.0]]), "b": np.array([[3.0, 4.0]])}
    >>> mask = budgets({"b": 0.5})(magnitude)(params, 0.25)
    >>> mask["a"].tolist(), mask["b"].tolist()
    ([[True, True]], [[False, True]])
    """
    for name, fraction in fractions.items():
        if not 0 <= fraction <= 1:
            message = f"budget {fraction} of {name} is outside [0, 1]"
            raise InputError(message)

    def rank(
        leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
    ) -> Levels:
        names = [leaf.name for leaf in leaves]
        for name in fractions:
            if name not in names:
                message = (
                    f"budgets: {name} is no prunable leaf; known: {', '.join(names)}"
                )
                raise InputError(message)
        rates = [float(fractions.get(name, 0)) for name in names]
        return _rank_rates(
            leaves, sparsities, rates, "budgets: the layers that have one"
        )

    return Allocation(
        "budgets",
        "a sparsity for each layer as given",
        rank,
        "round(c b_l n_l) of layer l's n_l weights, c for the sparsity of all",
    )


def _rank_rates(
    leaves: Sequence[Leaf],
    sparsities: Sequence[float],
    rates: Sequence[float],
    which: str,
) -> Levels:
    """Drop in proportion to rates; InputError where that cannot reach a sparsity."""
    sizes = np.array([leaf.size for leaf in leaves])
    array = np.array(rates, float)
    reach = float(sizes[array > 0].sum() / max(1, sizes.sum()))
    if beyond := [s for s in sparsities if s > reach]:
        message = (
            f"{which} hold {reach:.3g} of the prunable weights, so sparsity "
            f"{beyond[0]:g} cannot be reached; give at most that"
        )
        raise UnreachableSparsityError(message, beyond)
    lost = np.array([_scaled(array, sizes, s) if s else 0 * array for s in sparsities])
    return by_layer(leaves, lost.T.tolist())


layerwise = Allocation(
    "layerwise",
    "the same fraction of every layer",
    _rank_each,
    "the round(s n_l) lowest scores of each layer's n_l; equal ones by index",
    "counts as torch.nn.utils.prune.l1_unstructured",
)
"""Drop the same fraction of every layer, lowest scores first.

Exactly ``round(sparsity · n)`` of the n scores of each leaf go; of equal scores the
earlier goes first. A score with one value per weight prunes weights; one value per
filter (reduced axes kept) prunes whole filters.

>>> from prefiqs_jax.masks import layerwise, magnitude
>>> mask = layerwise(magnitude)({"w": np.array([[3.0, -1.0], [2.0, -4.0]])}, 0.5)
>>> mask["w"].tolist()
[[True, False], [False, True]]
"""

erk = Allocation(
    "erk",
    "of each layer by its shape: wide layers lose more (Erdős-Rényi-Kernel)",
    _rank_erk,
    "layer l keeps min(1, c Σ axes / Π axes) of its weights, c for the sparsity of all",
    "Evci et al. (2020), ICML, arXiv:1911.11134, Section 3",
)
"""Drop the lowest scores of each layer, more of layers with many weights an axis."""

inner_layers = Allocation(
    "uniform+",
    "the same fraction of every layer but the first and the last, which stay whole",
    _rank_inner,
    "the round(c s n_l) lowest scores of each inner layer, c for the sparsity of all",
    "after Gale et al. (2019), arXiv:1902.09574, Section 5, who keep the first whole",
    needs_context=True,
)
"""Drop the same fraction of all layers between the first and the last."""
