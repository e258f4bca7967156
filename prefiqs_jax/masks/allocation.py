"""Rank weights by a score, and cut the ranking as an allocation says.

A *score* says how much each weight matters; an *allocation* says how many go where: of
the whole network, of each layer, of each group of four. They compose freely.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.context import Context
from prefiqs_jax.trees import is_prunable, map_named, named_leaves
from prefiqs_jax.types import Mask, Params, Prunable, Score

Levels: TypeAlias = list[NDArray[np.unsignedinteger]]
"""Per leaf, the index of the first sparsity at which each weight goes."""


class Leaf(NamedTuple):
    """One prunable leaf with its scores, as an allocation sees it."""

    name: str
    """Path to it, joined by slashes."""
    shape: tuple[int, ...]
    """Shape of the weights."""
    scores: NDArray
    """The lowest go first; broadcastable to the weights, as many axes."""
    output_axis: int
    """Axis of the outputs (filters): the last in Flax, the first in PyTorch."""
    input_axis: int
    """Axis of the input channels."""

    @property
    def size(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape))

    @property
    def per_weight(self) -> bool:
        """Whether each weight has a score of its own."""
        return self.scores.shape == self.shape


Rank: TypeAlias = Callable[[Sequence[Leaf], Sequence[float], Context | None], Levels]
"""``(leaves, ascending sparsities, context) -> levels``, each shaped as the scores or
as the weights; the number of sparsities is the level of what never goes."""


@dataclasses.dataclass(frozen=True)
class Allocation:
    """A rule that says how many weights go where.

    Call it with a score to get a mask function: ``globally(magnitude)``.

    Attributes
    ----------
    name
        As the command line gives it.
    description
        One line: where the weights that go are taken from.
    rank
        ``(leaves, ascending sparsities, context) -> levels``.
    formula
        What goes at sparsity s, in a line.
    source
        Paper and equation or section.
    needs_score_per_weight
        Whether scores of whole filters make no sense with it.
    needs_context
        Whether it asks the network itself, such as for the order of its layers.
    uses_axes
        Whether it tells a weight's inputs from its outputs: by the network where a
        context is given, else as Flax lays them out, outputs last.
    """

    name: str
    description: str
    rank: Rank
    formula: str = ""
    source: str = ""
    needs_score_per_weight: bool = False
    needs_context: bool = False
    uses_axes: bool = False

    def __call__(self, score: Score, prunable: Prunable = is_prunable) -> "RankedMask":
        """Make the mask function ``(params, sparsity) -> mask`` of a score.

        Parameters
        ----------
        score
            ``(leaf name, weights) -> scores``, or ``(leaf name, weights, context)``
            where it needs data; broadcastable to the weights, the lowest go first.
        prunable
            ``(leaf name, weights) -> bool``; by default weights with two or more axes
            but position embeddings, tokens and biases.
        """
        return RankedMask(score, self, prunable)


@dataclasses.dataclass(frozen=True)
class Ranking:
    """When each weight goes.

    Attributes
    ----------
    sparsities
        Ascending, each once.
    levels
        Leaf name to the index, among them, of the first at which each weight goes;
        their number if it never does. Shaped as the leaf's scores or weights. A leaf
        that is not prunable is absent.
    """

    sparsities: tuple[float, ...]
    levels: dict[str, NDArray[np.unsignedinteger]]


@dataclasses.dataclass(frozen=True)
class RankedMask:
    """A mask function that ranks weights by a score and cuts the ranking.

    Masks of one score are nested in the sparsity. Made by calling an
    :class:`Allocation`; a rule that is no ranking is any function of
    ``(params, sparsity)`` instead.

    Attributes
    ----------
    score, allocation, prunable
        What ranks, what cuts, and which leaves may be pruned.
    context
        Network and calibration images, for scores and allocations that need them.
    """

    score: Score
    allocation: Allocation
    prunable: Prunable = is_prunable
    context: Context | None = None

    @property
    def __name__(self) -> str:
        """Allocation and score, as the command line names them."""
        return f"{self.allocation.name}/{getattr(self.score, '__name__', 'score')}"

    @property
    def needs_data(self) -> bool:
        """Whether there is no mask without a context."""
        return self.allocation.needs_context or context_use(self.score) == "needed"

    @property
    def uses_network(self) -> bool:
        """Whether a context makes a difference."""
        return (
            self.allocation.needs_context
            or self.allocation.uses_axes
            or context_use(self.score) != "none"
        )

    def __call__(
        self, params: Params, sparsity: float, context: Context | None = None
    ) -> Mask:
        """Return the mask at one sparsity, True = keep.

        Parameters
        ----------
        params
            Tree of weights.
        sparsity
            Fraction of the prunable weights to drop, in [0, 1).
        context
            Network and calibration images; by default the mask's own.

        Returns
        -------
        Mask
            Same structure and shapes as ``params``, bool. Leaves that are not prunable
            keep everything.

        Raises
        ------
        InputError
            If the sparsity is outside [0, 1) or the allocation cannot reach it, nothing
            is prunable, a context is needed and absent, or the score gives NaN, a
            constant, what is no real number, or a shape that does not broadcast to the
            weights. Infinities are scores: -inf goes first, inf last.
        """
        mask = dataclasses.replace(self, context=context or self.context)
        return next(mask.sweep(params, [sparsity]))

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
        if self.needs_data and self.context is None:
            raise InputError(_no_context(self))
        context = self.context and self.context.bind(params)
        ascending = sorted(set(sparsities))
        chosen = [
            (n, np.asarray(w)) for n, w in named_leaves(params) if self.prunable(n, w)
        ]
        if not chosen:
            message = "nothing to prune: the predicate admits none of the parameters"
            raise InputError(message)
        leaves = [self._scored(n, w, context) for n, w in chosen]
        _check_spread(self, chosen, leaves, ascending)
        levels = self.allocation.rank(leaves, ascending, context)
        by_name = dict(zip([n for n, _ in chosen], levels, strict=True))
        return Ranking(tuple(ascending), by_name)

    def score_of(self, name: str, weights: NDArray, context: Context | None) -> NDArray:
        """Score one leaf; InputError if what the score gives cannot be ranked."""
        data = (context,) if context_use(self.score) != "none" else ()
        return _checked(name, self.score(name, weights, *data), weights)

    def _scored(self, name: str, weights: NDArray, context: Context | None) -> Leaf:
        scores = self.score_of(name, weights, context)
        last = weights.ndim - 1
        axes = (last, last - 1)
        if context is not None and self.allocation.uses_axes:
            axes = context.axes(name, last)
        leaf = Leaf(name, weights.shape, scores, *axes)
        if self.allocation.needs_score_per_weight and not leaf.per_weight:
            message = (
                f"{self.__name__}: {self.allocation.name} compares weights, but "
                f"the score of {name} has shape {scores.shape}; give a score per weight"
            )
            raise InputError(message)
        return leaf


def context_use(score: Score) -> Literal["none", "welcome", "needed"]:
    """Tell whether a score takes a context as its third parameter.

    >>> context_use(lambda name, weights: weights)
    'none'
    >>> context_use(lambda name, weights, context: weights)
    'needed'
    >>> context_use(lambda name, weights, context=None: weights)
    'welcome'
    """
    try:
        parameters = inspect.signature(score).parameters.values()
    except (TypeError, ValueError):  # of a function in C nothing is known
        return "none"
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    third = [p for p in parameters if p.kind in kinds][2:3]
    if third and third[0].default is inspect.Parameter.empty:
        return "needed"
    return "welcome" if third and third[0].name == "context" else "none"


def check_sparsity(sparsity: float) -> None:
    """Raise InputError unless the sparsity lies in [0, 1)."""
    if not 0 <= sparsity < 1:
        message = f"sparsity {sparsity} is outside [0, 1): it is the fraction to drop"
        raise InputError(message)


def _no_context(mask: RankedMask) -> str:
    return (
        f"{mask.__name__} needs the network and calibration images; give "
        "context=masks.Context(apply_fn, images), or --calibration on the command line"
    )


def _keep(ranking: Ranking, name: str, weights: Any, place: int) -> NDArray[np.bool_]:
    if name not in ranking.levels:
        return np.ones(np.shape(weights), bool)
    return np.broadcast_to(ranking.levels[name] > place, np.shape(weights))


def _check_spread(
    mask: RankedMask,
    chosen: Sequence[tuple[str, NDArray]],
    leaves: Sequence[Leaf],
    sparsities: Sequence[float],
) -> None:
    """Refuse a score that is one constant although the weights differ."""
    lowest = {leaf.scores.min() for leaf in leaves if leaf.size}
    highest = {leaf.scores.max() for leaf in leaves if leaf.size}
    if lowest != highest or len(lowest) > 1 or not any(sparsities):
        return
    values = [weights for _, weights in chosen if weights.size]
    if any((np.abs(w) != np.abs(values[0].flat[0])).any() for w in values):
        message = (
            f"{mask.__name__}: the score is {lowest.pop()} for every weight, so it "
            "ranks nothing; give a score that tells weights apart"
        )
        raise InputError(message)


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
