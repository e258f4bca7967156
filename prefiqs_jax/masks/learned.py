"""Learn which weights go, by gradient, towards a goal of the user's.

Each weight has a score; the allocation cuts their ranking as it cuts any other, and the
goal's gradient passes straight through that cut to the scores (edge-popup). What comes
out is a score like any other, and a hard mask of exact count.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import Allocation, RankedMask, check_sparsity
from prefiqs_jax.masks.allocations import globally
from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.magnitude import magnitude
from prefiqs_jax.sensitivity import agreement, embed
from prefiqs_jax.trees import is_prunable, map_named, named_leaves
from prefiqs_jax.types import ApplyFn, Params, Prunable, Score

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True)
class Moved:
    """What a mask does to a batch of images; a goal makes one number of it."""

    drift: Any
    """‖z(θ + δ) - z(θ)‖, shape (batch,)."""
    first_order: Any
    """‖J_θ z · δ‖, shape (batch,)."""
    residual: Any
    """‖z(θ + δ) - z(θ) - J_θ z · δ‖, shape (batch,)."""
    index: Array
    """Which of the training images they are, shape (batch,)."""


Goal: TypeAlias = Callable[[Moved], Array]
"""``moved -> number``; the lower, the better."""


def least_drift(moved: Moved) -> Array:
    """Mean squared drift: prune what recognition needs least."""
    return jnp.mean(moved.drift**2)


def best_agreement(moved: Moved) -> Array:
    """Mean relative residual ‖Δz - Jδ‖ / ‖Δz‖: prune where the first order holds."""
    return jnp.mean(moved.residual / moved.drift)


def separation(degraded: ArrayLike) -> Goal:
    """Make the goal that drift tells degraded images from clean ones.

    Parameters
    ----------
    degraded
        For each training image, whether it is degraded, shape (count,).

    Returns
    -------
    Goal
        Minus d′: difference of the mean log drifts over their pooled standard
        deviation. A batch needs images of both kinds; in one without, it is 0.
    """
    flags = jnp.asarray(degraded, bool)

    def goal(moved: Moved) -> Array:
        values, marked = jnp.log(moved.drift), flags[moved.index]
        of = [marked.astype(values.dtype), (~marked).astype(values.dtype)]
        counts = [jnp.maximum(each.sum(), 1) for each in of]
        means = [values @ each / n for each, n in zip(of, counts, strict=True)]
        spreads = [
            (values - mean) ** 2 @ each / n
            for each, n, mean in zip(of, counts, means, strict=True)
        ]
        both = (of[0].sum() > 0) & (of[1].sum() > 0)
        gap = (means[0] - means[1]) / jnp.sqrt(sum(spreads) / 2 + 1e-6)
        return jnp.where(both, -gap, 0.0)

    return goal


@dataclasses.dataclass(frozen=True)
class Learned:
    """Learned scores, and the goal on the way.

    Attributes
    ----------
    score
        ``(leaf name, weights) -> learned scores``: composes with any allocation, for
        weights of the same names and shapes.
    mask_fn
        That score with the allocation it was learned for.
    history
        The goal at each step, on that step's batch.
    """

    score: Score
    mask_fn: RankedMask
    history: list[float]


def learn_mask(
    apply_fn: ApplyFn,
    params: Params,
    images: ArrayLike,
    sparsity: float,
    goal: Goal,
    *,
    steps: int = 200,
    optimiser: "optax.GradientTransformation | None" = None,
    start: Score = magnitude,
    allocation: Allocation = globally,
    prunable: Prunable = is_prunable,
    batch_size: int = 16,
    seed: int = 0,
    context: Context | None = None,
) -> Learned:
    """Learn scores whose mask, at one sparsity, reaches a goal on training images.

    A step costs about seven forward passes of a batch, three less if the goal asks for
    the drift alone. The weights themselves do not change. Judge what comes out on other
    images: the gain on those that it was learned on is no evidence.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim).
    params
        Dense weights θ.
    images
        Training images as the network expects them, shape (count, height, width,
        channels).
    sparsity
        Fraction of the prunable weights to drop, in (0, 1).
    goal
        :func:`least_drift`, :func:`best_agreement`, :func:`separation`, or your own.
    steps
        Number of updates of the scores.
    optimiser
        Of optax; default Adam with rate 0.003. Scores start as ranks from 0 to 1.
    start
        Score whose ranking is the first.
    allocation
        That cuts the ranking in each step and afterwards.
    prunable
        Which leaves may be pruned.
    batch_size
        Images a step, drawn without replacement.
    seed
        Of the order of the images.
    context
        For a ``start`` or ``allocation`` that needs one.

    Returns
    -------
    Learned
        Its masks have the allocation's exact count.

    Raises
    ------
    InputError
        If the sparsity is 0 or outside [0, 1), there are no images, nothing is
        prunable, or the goal is not finite.

    References
    ----------
    Ramanujan et al. (2020). What's hidden in a randomly weighted neural network? CVPR.
    arXiv:1911.13299, Section 3 (edge-popup); straight-through gradients:
    Bengio, Léonard and Courville (2013). Estimating or propagating gradients through
    stochastic neurons for conditional computation. arXiv:1308.3432.
    """
    check_sparsity(sparsity)
    pixels = np.asarray(images)
    if not sparsity or not len(pixels):
        message = "learning needs a sparsity above 0 and at least one image"
        raise InputError(message)
    first = RankedMask(start, allocation, prunable, context)
    scores = _ranks(first, params)
    if optimiser is None:
        import optax

        optimiser = optax.adam(3e-3)
    transform = optimiser
    state = transform.init(scores)
    step = jax.jit(_step(apply_fn, goal, transform))
    rng = np.random.default_rng(seed)
    order: list[int] = []
    history = []
    size = min(batch_size, len(pixels))
    for _ in range(steps):
        if len(order) < size:
            order = rng.permutation(len(pixels)).tolist()
        batch, order = np.array(order[:size]), order[size:]
        mask = _cut(scores, first)(params, sparsity)
        value, scores, state = step(params, scores, state, mask, pixels[batch], batch)
        if not np.isfinite(value):
            message = (
                f"the goal is {float(value)} after {len(history)} steps; lower the "
                "rate or the sparsity"
            )
            raise InputError(message)
        history.append(float(value))
    mask_fn = _cut(scores, first)
    return Learned(mask_fn.score, mask_fn, history)


def _ranks(mask: RankedMask, params: Params) -> dict[str, Array]:
    """Give all scores together ranks in [0, 1]: their scale does not matter."""
    named = [(n, np.asarray(w)) for n, w in named_leaves(params) if mask.prunable(n, w)]
    bound = mask.context and mask.context.bind(params)
    scored = [np.broadcast_to(mask.score_of(n, w, bound), w.shape) for n, w in named]
    flat = np.concatenate([s.ravel() for s in scored])
    ranks = np.empty(flat.size, np.float32)
    ranks[np.argsort(flat, kind="stable")] = np.linspace(0, 1, flat.size)
    found, begin = {}, 0
    for (name, weights), own in zip(named, scored, strict=True):
        part = ranks[begin : begin + own.size].reshape(own.shape)
        found[name] = jnp.asarray(part, weights.dtype)
        begin += own.size
    return found


def _cut(scores: dict[str, Array], like: RankedMask) -> RankedMask:
    held = {name: np.asarray(values) for name, values in scores.items()}

    def learned(name: str, weights: NDArray) -> NDArray:
        if name not in held or held[name].shape != np.shape(weights):
            message = f"no score was learned for {name} of shape {np.shape(weights)}"
            raise InputError(message)
        return held[name]

    return dataclasses.replace(like, score=learned)


def _step(
    apply_fn: ApplyFn, goal: Goal, transform: "optax.GradientTransformation"
) -> Callable[..., Any]:
    """Make one step: the goal, its gradient straight through the mask, an update."""
    import optax

    def value(
        scores: dict[str, Array], params: Params, mask: Any, images: Array, index: Array
    ) -> Array:
        def change(name: str, weights: Array, keep: Array) -> Array:
            if name not in scores:
                return jnp.zeros_like(weights)
            hard = keep.astype(weights.dtype)
            through = scores[name] - jax.lax.stop_gradient(scores[name])
            return (hard + through - 1) * weights

        delta = map_named(change, params, mask)
        dense, jvp = jax.jvp(lambda p: embed(apply_fn, p, images), (params,), (delta,))
        pruned = embed(apply_fn, jax.tree.map(jnp.add, params, delta), images)
        found = agreement(jvp, pruned - dense)
        moved = Moved(found.drift, found.first_order, found.residual, index)
        return jnp.asarray(goal(moved))

    def step(
        params: Params, scores: Any, state: Any, mask: Any, images: Array, index: Array
    ) -> tuple[Array, Any, Any]:
        found, slope = jax.value_and_grad(value)(scores, params, mask, images, index)
        # Optax mixes types, which some choose to forbid.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = transform.update(slope, state, scores)
            return found, optax.apply_updates(scores, updates), state

    return step
