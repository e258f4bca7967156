"""First-order squared drift, averaged over random directions of the weights.

E‖J δ‖² = ‖J E δ‖² + tr(J C Jᵀ) needs the mean and the covariance C of a direction,
and nothing else of its distribution. Here C = D (I - 11ᵀ/n) D in each group of n
weights that are drawn together, and D² elsewhere, with D diagonal.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, core

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.execution.compilation import stored
from prefiqs_jax.sensitivity.embedding import embed
from prefiqs_jax.sensitivity.linearise import check_delta, linearise
from prefiqs_jax.trees import is_prunable, map_named, named_leaves
from prefiqs_jax.types import ApplyFn, Delta, Images, Params, Prunable

KINDS = ("gaussian", "signs", "permuted", "growth")
"""Controls with a mean and covariance in closed form."""


class Estimate(NamedTuple):
    """A number of each image, and how far it may be off by chance."""

    value: Array
    """Shape (batch,)."""
    standard_error: Array
    """Shape (batch,): 0 where the value is exact, NaN of a single probe."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("mean", "scale"),
    meta_fields=("groups", "leaves"),
)
@dataclasses.dataclass(frozen=True)
class Directions:
    """Mean and covariance of random directions δ.

    δ = mean + scale ⊙ ε, with ε of mean 0 and variance 1, uncorrelated but for what
    ``groups`` says.

    Attributes
    ----------
    mean
        E δ, like the parameters; None = 0.
    scale
        Tree of the parameters' structure; leaves of their shape, or scalars.
    groups
        Numbers of leaves, in tree order, that are drawn together: ε has its mean over
        all of their weights taken off.
    leaves
        Numbers of the leaves that change; None = all. Derivatives are taken by these
        only: those by the factors of BatchNorm and PReLU would double the cost.
    """

    mean: Delta | None
    scale: Delta
    groups: tuple[tuple[int, ...], ...] = ()
    leaves: tuple[int, ...] | None = None


def random_masks(
    params: Params,
    sparsity: float | Mapping[str, float],
    *,
    within: Literal["leaf", "all"] = "leaf",
    prunable: Prunable = is_prunable,
) -> Directions:
    """Describe δ = -b ⊙ θ, where exactly k of n weights go, all choices alike.

    Parameters
    ----------
    params
        Weights θ.
    sparsity
        s in [0, 1); k = round(s n). By the leaf's name, s of each leaf that loses any.
    within
        ``"leaf"``: k of the n weights of every leaf; ``"all"``: of all prunable ones.
    prunable
        Which leaves lose weights.

    Returns
    -------
    Directions
        E b = k / n; of two weights of a group Cov = -s (1 - s) / (n - 1) θ_i θ_j, the
        covariance of drawing without replacement.

    Raises
    ------
    InputError
        If a sparsity is outside [0, 1), or of a leaf that is not prunable; or given by
        name for all leaves together.

    References
    ----------
    Derivation: docs/theory.md (moments of the multivariate hypergeometric).

    Examples
    --------
    >>> made = random_masks({"w": jnp.ones((2, 2))}, 0.5)
    >>> made.mean["w"][0], made.scale["w"][0].round(4)
    (Array([-0.5, -0.5], dtype=...), Array([0.5774, 0.5774], dtype=...))
    """
    check_choice("place", within, ("leaf", "all"))
    leaves = named_leaves(params)
    chosen = [i for i, (name, leaf) in enumerate(leaves) if prunable(name, leaf)]
    own = {leaves[i][0]: leaves[i][1].size for i in chosen}
    if isinstance(sparsity, Mapping):
        if within == "all":
            message = "sparsities by leaf go with within='leaf'; give one number"
            raise InputError(message)
        for name in sparsity.keys() - own.keys():
            message = f"sparsity of {name}, which is no prunable leaf; leave it out"
            raise InputError(message)
        asked = {name: float(sparsity.get(name, 0.0)) for name in own}
    else:
        asked = dict.fromkeys(own, float(sparsity))
    for name, each in asked.items():
        if not 0 <= each < 1:
            message = f"sparsity of {name} is {each:g}, but must be in [0, 1)"
            raise InputError(message)
    sizes = own if within == "leaf" else dict.fromkeys(own, sum(own.values()))
    gone = {name: round(asked[name] * n) / max(n, 1) for name, n in sizes.items()}

    def spread(name: str, leaf: Array) -> Array:
        s, n = gone.get(name, 0.0), sizes.get(name, 1)
        return leaf * float(np.sqrt(s * (1 - s) * n / max(n - 1, 1)))

    return Directions(
        map_named(lambda name, leaf: leaf * -gone.get(name, 0.0), params),
        map_named(spread, params),
        tuple((i,) for i in chosen) if within == "leaf" else (tuple(chosen),),
        tuple(chosen),
    )


def control_directions(kind: str, params: Params, delta: Delta) -> Directions:
    """Describe the controls of a direction, see ``control_delta``.

    Parameters
    ----------
    kind
        One of :data:`KINDS`; a shuffled mask that is scaled to a given norm has no
        such closed form.
    params, delta
        Weights θ, and the direction.

    Returns
    -------
    Directions
        ``gaussian``: covariance r²/n of every weight of a leaf of n, r the norm of δ
        there; ``signs``: δ² ; ``permuted``: mean and variance of the numbers of δ in
        the leaf, drawn without replacement; ``growth``: -δ, always.

    Raises
    ------
    InputError
        If there is no such kind, or delta and params differ in form.

    References
    ----------
    Derivation: docs/theory.md.

    Examples
    --------
    >>> theta = {"w": jnp.array([3.0, 4.0])}
    >>> control_directions("gaussian", theta, {"w": -theta["w"]}).scale["w"] ** 2
    Array(12.5, dtype=...)
    """
    if kind == "shuffled-mask":
        message = (
            "shuffled-mask has no closed form, because it is scaled to a given norm; "
            "use random_masks"
        )
        raise InputError(message)
    check_choice("kind", kind, KINDS)
    check_delta(params, delta)
    leaves = tuple(
        i
        for i, leaf in enumerate(jax.tree.leaves(delta))
        if isinstance(leaf, core.Tracer) or np.any(np.asarray(leaf))
    )
    if kind == "growth":
        zeros = jax.tree.map(lambda leaf: jnp.zeros((), leaf.dtype), delta)
        return Directions(jax.tree.map(jnp.negative, delta), zeros, leaves=leaves)
    if kind == "signs":
        return Directions(None, delta, leaves=leaves)
    if kind == "gaussian":
        scale = jax.tree.map(lambda leaf: jnp.sqrt(jnp.square(leaf).mean()), delta)
        return Directions(None, scale, leaves=leaves)
    # The spread of n numbers drawn without replacement is that over n - 1.
    return Directions(
        jax.tree.map(lambda leaf: jnp.full_like(leaf, leaf.mean()), delta),
        jax.tree.map(lambda leaf: leaf.std(ddof=min(1, leaf.size - 1)), delta),
        tuple((i,) for i in leaves),
        leaves,
    )


def expected_squared_drift(
    apply_fn: ApplyFn,
    params: Params,
    directions: Directions,
    images: Images,
    *,
    probes: int | None = None,
    key: Array | None = None,
) -> Estimate:
    """Compute the first-order expected squared drift E‖J_θ z(x; θ) δ‖² of each image.

    = ‖J E δ‖² + tr(J C Jᵀ). Exactly, by the rows of J: D reverse passes for each image
    alone, each of two forward passes' work or more, with memory for one gradient of the
    weights. Or the trace by ``probes`` random signs ε (Hutchinson), unbiased: the mean
    of ‖J (scale ⊙ ε)‖², ε centred in each group, which has covariance C exactly. All
    images of a batch share the signs: 1 + 2 probes forward passes, and 2 for the mean.

    Parameters
    ----------
    apply_fn, params, images
        As in :func:`prefiqs_jax.sensitivity.embedding_jvp`.
    directions
        From :func:`random_masks` or :func:`control_directions`.
    probes
        None = exact.
    key
        Of ``jax.random``, with probes.

    Returns
    -------
    Estimate
        Squared distances, no unit; √value compares with a drift.

    Raises
    ------
    InputError
        If probes is below 1, or has no key.

    Notes
    -----
    One probe is off by √(2 Σ λ²) at most, λ the eigenvalues of J C Jᵀ. Their number
    being small (the metric has few directions that matter), the signs of two images
    are worth sharing: the error is common, and ranks are steadier than values.

    References
    ----------
    Hutchinson (1989). A stochastic estimator of the trace of the influence matrix.
    Communications in Statistics 18. Derivation: docs/theory.md.

    Examples
    --------
    One of two equal weights goes, either with probability 1/2; only the second moves
    the embedding, by 1.

    >>> theta = {"w": jnp.ones((1, 2))}
    >>> network = lambda p, x: x + p["w"] * jnp.array([[0.0, 1.0]])
    >>> found = expected_squared_drift(network, theta, random_masks(theta, 0.5),
    ...     jnp.array([[1.0, -1.0]]))
    >>> found.value, found.standard_error
    (Array([0.5], dtype=...), Array([0.], dtype=...))
    """
    if probes is None:
        value = _exact(apply_fn, params, directions, jnp.asarray(images))
        return Estimate(value, jnp.zeros_like(value))
    if probes < 1 or key is None:
        message = (
            f"probes is {probes}; give at least 1"
            if key is not None
            else ("probes draw random signs: give a key, such as jax.random.key(0)")
        )
        raise InputError(message)
    part, weights, chosen = _of_leaves(apply_fn, params, directions)
    lin = linearise(part, weights, images)

    def push(delta: Delta) -> Array:
        leaves = jax.tree.leaves(delta)
        return lin.push([leaves[i] for i in chosen])

    return expected_given(push, params, directions, probes, key)


def expected_given(
    push: Callable[[Delta], Array],
    params: Params,
    directions: Directions,
    probes: int,
    key: Array,
) -> Estimate:
    """Estimate what :func:`expected_squared_drift` does from a linearisation at hand.

    ``push`` is that of ``params``; two forward passes a probe. Leaves that do not
    change are pushed as zeros.
    """
    leaves, structure = jax.tree.flatten(params)
    chosen = directions.leaves or tuple(range(len(leaves)))
    scales = jax.tree.leaves(directions.scale)

    def squared(some: Mapping[int, Array]) -> Array:
        every = [
            some[i] if i in some else jnp.zeros_like(leaf)
            for i, leaf in enumerate(leaves)
        ]
        return jnp.square(push(structure.unflatten(every))).sum(-1)

    def draw(own: Array) -> dict[int, Array]:
        drawn = random_signs(own, [leaves[i] for i in chosen])
        signs = dict(zip(chosen, drawn, strict=True))
        for group in directions.groups:
            total = sum(signs[i].sum() for i in group)
            mean = total / sum(signs[i].size for i in group)
            signs |= {i: signs[i] - mean for i in group}
        return {i: scales[i] * signs[i] for i in chosen}

    def of_probe(own: Array) -> Array:
        return squared(stored(lambda: draw(own), jax.random.key_data(own)[0]))

    found = jax.lax.map(of_probe, jax.random.split(key, probes))
    value = found.mean(0)
    if directions.mean is not None:
        means = jax.tree.leaves(directions.mean)
        value = value + squared({i: means[i] for i in chosen})
    return Estimate(value, found.std(0, ddof=1) / float(np.sqrt(probes)))


def _of_leaves(
    apply_fn: ApplyFn, params: Params, directions: Directions
) -> tuple[ApplyFn, list[Array], tuple[int, ...]]:
    """Make the network a function of the leaves that change; give these."""
    leaves, structure = jax.tree.flatten(params)
    chosen = directions.leaves or tuple(range(len(leaves)))

    def part(some: list[Array], images: Images) -> Array:
        every = list(leaves)
        for i, leaf in zip(chosen, some, strict=True):
            every[i] = leaf
        return apply_fn(structure.unflatten(every), images)

    return part, [leaves[i] for i in chosen], chosen


def random_signs(key: Array, like: Sequence[Array]) -> list[Array]:
    """Draw -1 or 1 for each number of some arrays, from one random bit each.

    ``jax.random.rademacher`` takes 32 bits: six times as long for ten million weights
    on a CPU, as long as a forward pass of SFace on 14 images. One draw for all arrays:
    the generator would be compiled for each of them.
    """
    count = sum(each.size for each in like)
    words = jax.random.bits(key, (-(-count // 32), 1), jnp.uint32)
    bits = (words >> jnp.arange(32, dtype=jnp.uint32)[None]) & 1
    return [1 - 2 * own for own in split_like(bits.ravel()[:count], like)]


def split_like(flat: Array, like: Sequence[Array]) -> list[Array]:
    """Cut a vector into arrays of these shapes and types."""
    parts = jnp.split(flat, np.cumsum([each.size for each in like[:-1]]))
    return [
        part.reshape(each.shape).astype(each.dtype)
        for part, each in zip(parts, like, strict=True)
    ]


def _exact(
    apply_fn: ApplyFn, params: Params, directions: Directions, images: Array
) -> Array:
    """Compute ‖J E δ‖² + tr(J C Jᵀ) by the rows of J, image by image."""
    part, weights, chosen = _of_leaves(apply_fn, params, directions)
    scales = jax.tree.leaves(directions.scale)
    means = jax.tree.leaves(directions.mean)

    def of_image(image: Array) -> Array:
        embedding, pull = jax.vjp(
            lambda some: embed(part, some, image[None])[0], weights
        )
        zero = jnp.zeros((), embedding.dtype)

        def of_row(cotangent: Array) -> Array:
            row = dict(zip(chosen, pull(cotangent)[0], strict=True))
            scaled = {i: g * scales[i] for i, g in row.items()}
            spread = sum((jnp.square(each).sum() for each in scaled.values()), zero)
            for group in directions.groups:
                count = sum(scaled[i].size for i in group)
                total = sum((scaled[i].sum() for i in group), zero)
                spread = spread - jnp.square(total) / count
            if means:
                mean = sum(((g * means[i]).sum() for i, g in row.items()), zero)
                spread = spread + jnp.square(mean)
            return spread

        basis = jnp.eye(len(embedding), dtype=embedding.dtype)
        return jax.lax.map(of_row, basis).sum()

    return jax.lax.map(of_image, images)
