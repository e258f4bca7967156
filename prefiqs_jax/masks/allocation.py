"""Turn a score into a mask: rank weights globally or layer by layer, cut at a count."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.order import joint_levels, pruning_levels
from prefiqs_jax.trees import is_prunable, map_named, named_leaves
from prefiqs_jax.types import Mask, Params, Prunable, Score

Levels: TypeAlias = list[NDArray]
"""Per leaf, the index of the first sparsity at which each weight goes."""

Rank: TypeAlias = Callable[[list[NDArray], list[int], Sequence[float]], Levels]
"""``(scores of each leaf, weights of each leaf, ascending sparsities) -> levels``."""


@dataclasses.dataclass(frozen=True)
class Ranking:
    """When each weight goes.

    Attributes
    ----------
    sparsities
        Ascending, each once.
    levels
        Leaf name to the index, among them, of the first at which each weight goes;
        their number if it never does. Shaped as the leaf's scores. A leaf that is not
        prunable is absent.
    """

    sparsities: tuple[float, ...]
    levels: dict[str, NDArray[np.unsignedinteger]]


@dataclasses.dataclass(frozen=True)
class RankedMask:
    """A mask function that ranks weights by a score and cuts the ranking.

    Masks of one score are nested in the sparsity. Made by :func:`globally` and
    :func:`layerwise`; a rule that is no ranking is any function of
    ``(params, sparsity)`` instead.
    """

    score: Score
    allocation: str
    prunable: Prunable = is_prunable

    @property
    def __name__(self) -> str:
        """Allocation and score, as the command line names them."""
        return f"{self.allocation}/{getattr(self.score, '__name__', 'score')}"

    def __call__(self, params: Params, sparsity: float) -> Mask:
        """Return the mask at one sparsity, True = keep.

        Parameters
        ----------
        params
            Tree of weights.
        sparsity
            Fraction of the prunable weights to drop, in [0, 1).

        Returns
        -------
        Mask
            Same structure and shapes as ``params``, bool. Leaves that are not prunable
            keep everything.

        Raises
        ------
        InputError
            If the sparsity is outside [0, 1), nothing is prunable, or the score gives
            NaN, what is no real number, or a shape that does not broadcast to the
            weights. Infinities are scores: -inf goes first, inf last.
        """
        return next(self.sweep(params, [sparsity]))

    def sweep(self, params: Params, sparsities: Sequence[float]) -> Iterator[Mask]:
        """Yield the mask at each sparsity, in the order given, from one ranking."""
        ranking = self.rank(params, sparsities)
        for sparsity in sparsities:
            place = ranking.sparsities.index(sparsity)
            yield map_named(lambda n, w, k=place: _keep(ranking, n, w, k), params)

    def rank(self, params: Params, sparsities: Sequence[float]) -> Ranking:
        """Rank the weights once for all sparsities.

        Parameters
        ----------
        params
            Tree of weights.
        sparsities
            Each in [0, 1), in any order, repeated or not.

        Raises
        ------
        InputError
            As calling the mask function does.
        """
        for sparsity in sparsities:
            check_sparsity(sparsity)
        ascending = sorted(set(sparsities))
        chosen = [
            (n, np.asarray(w)) for n, w in named_leaves(params) if self.prunable(n, w)
        ]
        if not chosen:
            message = "nothing to prune: the predicate admits none of the parameters"
            raise InputError(message)
        scores = [_checked(n, self.score(n, w), w) for n, w in chosen]
        levels = RANKS[self.allocation](scores, [w.size for _, w in chosen], ascending)
        by_name = dict(zip([n for n, _ in chosen], levels, strict=True))
        return Ranking(tuple(ascending), by_name)


def layerwise(score: Score, prunable: Prunable = is_prunable) -> RankedMask:
    """Drop the same fraction of every layer, lowest scores first.

    Exactly ``round(sparsity · n)`` of the n scores of each leaf go; of equal scores the
    earlier goes first. A score with one value per weight prunes weights; one value per
    filter (reduced axes kept) prunes whole filters.

    Parameters
    ----------
    score
        ``(leaf name, weights) -> scores``, broadcastable to the weights.
    prunable
        ``(leaf name, weights) -> bool``; by default weights with two or more axes.

    Returns
    -------
    RankedMask
        ``(params, sparsity) -> mask``. Counts equal ``torch.nn.utils.prune``'s
        ``l1_unstructured`` applied to each layer.

    Examples
    --------
    >>> from prefiqs_jax.masks import layerwise, magnitude
    >>> mask = layerwise(magnitude)({"w": np.array([[3.0, -1.0], [2.0, -4.0]])}, 0.5)
    >>> mask["w"].tolist()
    [[True, False], [False, True]]
    """
    return RankedMask(score, "layerwise", prunable)


def globally(score: Score, prunable: Prunable = is_prunable) -> RankedMask:
    """Drop the lowest scores of the whole network, whichever layer they are in.

    Exactly ``round(sparsity · n)`` of all n prunable weights go; of equal scores the
    earlier one goes first, in the order of the tree. Scores of whole filters are ranked
    together, and filters go while that brings the count of weights nearer its target.

    Parameters
    ----------
    score
        ``(leaf name, weights) -> scores``, broadcastable to the weights and comparable
        between layers.
    prunable
        ``(leaf name, weights) -> bool``; by default weights with two or more axes.

    Returns
    -------
    RankedMask
        ``(params, sparsity) -> mask``. Counts equal ``torch.nn.utils.prune``'s
        ``global_unstructured`` with ``L1Unstructured``.

    Examples
    --------
    >>> from prefiqs_jax.masks import globally, magnitude
    >>> params = {"a": np.array([[0.1, 0.2]]), "b": np.array([[3.0, -4.0]])}
    >>> mask = globally(magnitude)(params, 0.5)
    >>> mask["a"].tolist(), mask["b"].tolist()
    ([[False, False]], [[True, True]])
    """
    return RankedMask(score, "global", prunable)


def check_sparsity(sparsity: float) -> None:
    """Raise InputError unless the sparsity lies in [0, 1)."""
    if not 0 <= sparsity < 1:
        message = f"sparsity {sparsity} is outside [0, 1): it is the fraction to drop"
        raise InputError(message)


def _keep(ranking: Ranking, name: str, weights: Any, place: int) -> NDArray[np.bool_]:
    if name not in ranking.levels:
        return np.ones(np.shape(weights), bool)
    return np.broadcast_to(ranking.levels[name] > place, np.shape(weights))


def _checked(name: str, scores: Any, weights: NDArray) -> NDArray:
    scores = np.asarray(jax.device_get(scores))
    try:
        fits = np.broadcast_shapes(scores.shape, weights.shape) == weights.shape
    except ValueError:
        fits = False
    if not fits or scores.ndim != weights.ndim:
        message = (
            f"{name}: scores of shape {scores.shape} do not broadcast to weights of "
            f"shape {weights.shape}; keep reduced axes with keepdims=True"
        )
        raise InputError(message)
    kind, dtype = scores.dtype.kind, scores.dtype
    # NumPy takes bfloat16 and other short types for no numbers at all; JAX knows them.
    short = kind == "V" and any(
        jnp.issubdtype(dtype, real) for real in (jnp.floating, jnp.integer)
    )
    if not short and kind not in "biuf":
        message = f"{name}: scores of type {dtype} have no order; give real numbers"
        raise InputError(message)
    if short or (kind == "f" and dtype.itemsize < 2):
        scores = scores.astype(np.float32)  # exact, and NumPy can rank it
    if np.isnan(scores).any():
        message = f"{name}: the score is NaN for some weights"
        raise InputError(message)
    return scores


def _rank_each(
    scores: list[NDArray], sizes: list[int], sparsities: Sequence[float]
) -> Levels:
    del sizes  # each leaf has its own count
    return [
        pruning_levels(s.ravel(), [round(p * s.size) for p in sparsities]).reshape(
            s.shape
        )
        for s in scores
    ]


def _rank_together(
    scores: list[NDArray], sizes: list[int], sparsities: Sequence[float]
) -> Levels:
    parts = [s.ravel() for s in scores]
    total = sum(sizes)
    counts = [round(p * total) for p in sparsities]
    if sum(part.size for part in parts) < total:
        counts = _filter_counts(parts, sizes, counts)
    return [
        levels.reshape(s.shape)
        for levels, s in zip(joint_levels(parts, counts), scores, strict=True)
    ]


def _filter_counts(
    parts: list[NDArray], sizes: list[int], targets: list[int]
) -> list[int]:
    """Find how many scores go, of several weights each, for counts of weights."""
    weight = np.concatenate(
        [np.full(p.size, n // p.size) for p, n in zip(parts, sizes, strict=True)]
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


RANKS: dict[str, Rank] = {"global": _rank_together, "layerwise": _rank_each}
