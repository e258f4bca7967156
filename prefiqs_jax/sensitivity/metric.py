"""The metric G = JᵀJ that the embedding gives the weights, image by image.

J = J_θ z(x; θ) over the prunable weights, so that ‖J δ‖² = δᵀ G δ. It has as many
columns as there are weights, but no more than D - 1 eigenvalues that are not zero:
those of J Jᵀ, D × D, whose eigenvectors u have the partners Jᵀu/√λ in the weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from prefiqs_jax.errors import InputError
from prefiqs_jax.sensitivity.embedding import embed
from prefiqs_jax.sensitivity.expected import (
    Directions,
    Estimate,
    expected_squared_drift,
)
from prefiqs_jax.sensitivity.linearise import Linearised, check_delta, linearise
from prefiqs_jax.trees import is_prunable, map_named, named_leaves, weight_count
from prefiqs_jax.types import ApplyFn, Delta, Images, Params, Prunable


class Eigen(NamedTuple):
    """Leading eigenvalues of J Jᵀ, and so of the metric, of each image."""

    values: Array
    """λ, descending, shape (batch, count): squared singular values of J."""
    vectors: Array
    """u, in the space of embeddings, orthonormal, shape (batch, count, dim)."""
    residual: Array
    """‖J Jᵀ u - λ u‖, shape (batch, count): an eigenvalue is as near to λ as that."""


class Share(NamedTuple):
    """How much of a direction lies where the embedding is most sensitive."""

    norm: Array
    """‖P δ‖² / ‖δ‖², P onto the leading eigenvectors of the metric, shape (batch,)."""
    effect: Array
    """‖J P δ‖² / ‖J δ‖²: what these explain of the squared first order, (batch,)."""
    random: float
    """Expected ``norm`` of a direction drawn uniformly: count / weights."""
    random_by_leaf: Array
    """Expected ``norm`` of one drawn uniformly with the norm of δ in each leaf, the
    control ``gaussian``, shape (batch,)."""


def metric_trace(
    apply_fn: ApplyFn,
    params: Params,
    images: Images,
    key: Array | None = None,
    probes: int | None = None,
    prunable: Prunable = is_prunable,
) -> Estimate:
    """Compute tr G = ‖J‖² (Frobenius) over the prunable weights, of each image.

    With probes: the mean of ‖J ε‖² with random signs ε of the weights, two forward
    passes each for a whole batch. (Signs v of the embedding, ‖Jᵀ v‖², have nearly the
    same variance, 2 Σ λ² less the squared diagonal, but need a gradient of all weights
    for each image alone.) Without: exact, by D reverse passes for each image.

    Parameters
    ----------
    apply_fn, params, images
        As in :func:`prefiqs_jax.sensitivity.embedding_jvp`.
    key, probes
        Of ``jax.random``, and how many; None = exact.
    prunable
        ``(leaf name, weights) -> bool``: which leaves the metric is of.

    Returns
    -------
    Estimate
        Trace, in 1 / (unit of a weight)², and its standard error.

    Raises
    ------
    InputError
        If probes is below 1, or has no key.

    References
    ----------
    Hutchinson (1989). A stochastic estimator of the trace of the influence matrix.
    Communications in Statistics 18. Derivation: docs/theory.md.

    Examples
    --------
    z turns by x₁ / ‖f‖ of the weights that move f across itself: here by 1.

    >>> linear = lambda p, x: x @ p["w"]
    >>> metric_trace(linear, {"w": jnp.eye(2)}, jnp.array([[2.0, 0.0]])).value
    Array([1.], dtype=...)
    """
    return expected_squared_drift(
        apply_fn, params, all_weights(params, prunable), images, probes=probes, key=key
    )


def all_weights(params: Params, prunable: Prunable = is_prunable) -> Directions:
    """Describe directions in which each prunable weight has variance 1."""
    scale = map_named(
        lambda name, leaf: jnp.full((), prunable(name, leaf), leaf.dtype), params
    )
    leaves = tuple(
        i for i, named in enumerate(named_leaves(params)) if prunable(*named)
    )
    return Directions(None, scale, leaves=leaves)


def metric_eigenvalues(
    apply_fn: ApplyFn,
    params: Params,
    images: Images,
    count: int,
    *,
    steps: int | None = None,
    prunable: Prunable = is_prunable,
    reverse_fn: ApplyFn | None = None,
) -> Eigen:
    """Compute the leading eigenvalues of the metric of each image, matrix-free.

    Lanczos' algorithm on v ↦ J (Jᵀ v), images one by one: four forward passes' work of
    a single image a step, and memory for one gradient of the weights; on a CPU, SFace
    took the time of 67 without a ``reverse_fn``. It starts from a fixed vector across
    the embedding, where J Jᵀ has all of its range.

    Parameters
    ----------
    apply_fn, params, images
        As in :func:`prefiqs_jax.sensitivity.embedding_jvp`.
    count
        How many, at most D - 1: unit vectors of D numbers have so many directions to
        move in.
    steps
        Of Lanczos, at least ``count``; more make ``residual`` smaller. None = twice
        the count and ten, or D - 1 if that is less, which is exact.
    prunable
        ``(leaf name, weights) -> bool``: which leaves the metric is of.
    reverse_fn
        The same network in a form that is quick in reverse mode, if there is one, as in
        :func:`prefiqs_jax.sensitivity.layer_contributions`.

    Returns
    -------
    Eigen
        Values, vectors and residual.

    Raises
    ------
    InputError
        If count or steps is out of range; if matfree is not installed.

    References
    ----------
    Lanczos (1950). An iteration method for the solution of the eigenvalue problem of
    linear differential and integral operators. Journal of Research of the National
    Bureau of Standards 45. Derivation: docs/theory.md.

    Examples
    --------
    >>> linear = lambda p, x: x @ p["w"]
    >>> params, image = {"w": jnp.eye(2)}, jnp.array([[2.0, 0.0]])
    >>> metric_eigenvalues(linear, params, image, 1).values.round(6)
    Array([[1.]], dtype=...)
    """
    find = _eigen_finder(apply_fn, params, images, count, steps)
    return jax.lax.map(
        lambda image: find(*_gram(apply_fn, params, image, prunable, reverse_fn)),
        jnp.asarray(images),
    )


def share_in_subspace(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    count: int,
    *,
    steps: int | None = None,
    prunable: Prunable = is_prunable,
    vectors: Array | None = None,
    reverse_fn: ApplyFn | None = None,
) -> Share:
    """Compute the share of δ in the span of the metric's leading eigenvectors.

    ‖P δ‖² = Σ ⟨u_i, J δ⟩² / λ_i, because J v_i = √λ_i u_i: no vector as large as the
    weights is kept. What δ changes of other than prunable leaves does not count.

    Parameters
    ----------
    apply_fn, params, delta, images
        As in :func:`prefiqs_jax.sensitivity.embedding_jvp`.
    count, steps, prunable, reverse_fn
        As in :func:`metric_eigenvalues`; its cost, and 2 + 2 count forward passes.
    vectors
        What :func:`metric_eigenvalues` gave for these images, shape (batch, count,
        dim), which are then not found again; None = find them.

    Returns
    -------
    Share
        Fractions in [0, 1].

    Raises
    ------
    InputError
        As :func:`metric_eigenvalues`; and if delta and params differ in form, or the
        vectors are not as many as ``count`` for each image.

    References
    ----------
    Derivation: docs/theory.md.

    Examples
    --------
    Half of the square of δ is across the embedding, and makes all of its effect.

    >>> linear = lambda p, x: x @ p["w"]
    >>> delta = {"w": jnp.array([[1.0, 1.0], [0.0, 0.0]])}
    >>> found = share_in_subspace(
    ...     linear, {"w": jnp.eye(2)}, delta, jnp.array([[2.0, 0.0]]), 1)
    >>> found.norm.round(6), found.effect.round(6), found.random
    (Array([0.5], dtype=...), Array([1.], dtype=...), 0.25)
    """
    check_delta(params, delta)
    if vectors is None:
        found = metric_eigenvalues(
            apply_fn,
            params,
            images,
            count,
            steps=steps,
            prunable=prunable,
            reverse_fn=reverse_fn,
        )
        vectors = found.vectors
    if vectors.shape[:2] != (len(images), count):
        message = (
            f"vectors of shape {vectors.shape} for {len(images)} images and a count of "
            f"{count}; give those that metric_eigenvalues found for them"
        )
        raise InputError(message)
    chosen = _only(prunable, params, delta)
    squares = [jnp.square(leaf).sum() for leaf in jax.tree.leaves(chosen)]
    zero = jnp.zeros((), jnp.result_type(*squares))
    total = sum(squares, start=zero)

    def of_image(pair: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        lin, pull = _gram(apply_fn, params, pair[0], prunable, reverse_fn)
        jvp = lin.push(chosen)[0]

        def of_vector(vector: Array) -> tuple[Array, Array, Array]:
            own = [jnp.square(leaf) for leaf in jax.tree.leaves(pull(vector))]
            value = sum((leaf.sum() for leaf in own), start=zero)
            along = jnp.square(vector @ jvp)
            means = (r * g.mean() for r, g in zip(squares, own, strict=True))
            by_leaf = sum(means, start=zero)
            return along / value, along, by_leaf / value

        norm, effect, by_leaf = jax.lax.map(of_vector, pair[1])
        return norm.sum() / total, effect.sum() / (jvp @ jvp), by_leaf.sum() / total

    norm, effect, by_leaf = jax.lax.map(of_image, (jnp.asarray(images), vectors))
    return Share(norm, effect, count / weight_count(params, prunable), by_leaf)


def _only(prunable: Prunable, params: Params, tree: Delta) -> Delta:
    return map_named(
        lambda name, leaf, own: own if prunable(name, leaf) else jnp.zeros_like(own),
        params,
        tree,
    )


Pull = Callable[[Array], Delta]


def _gram(
    apply_fn: ApplyFn,
    params: Params,
    image: Array,
    prunable: Prunable,
    reverse_fn: ApplyFn | None,
) -> tuple[Linearised, Pull]:
    """Linearise one image; give v ↦ Jᵀ v, too, over the prunable weights."""
    lin = linearise(apply_fn, params, image[None])
    if reverse_fn is None:
        transposed = jax.linear_transpose(lin.push, params)
    else:
        _, transposed = jax.vjp(lambda p: embed(reverse_fn, p, image[None]), params)
    return lin, lambda v: _only(prunable, params, transposed(v[None])[0])


def _eigen_finder(
    apply_fn: ApplyFn, params: Params, images: Images, count: int, steps: int | None
) -> Callable[[Linearised, Pull], Eigen]:
    """Make the function that finds the eigenvectors of J Jᵀ of one image."""
    dim = jax.eval_shape(apply_fn, params, images).shape[-1]
    if not 1 <= count < dim:
        message = (
            f"count is {count}, but unit embeddings of {dim} numbers have 1 to "
            f"{dim - 1} eigenvalues; give a count in that range"
        )
        raise InputError(message)
    depth = min(dim - 1, 2 * count + 10) if steps is None else steps
    if not count <= depth < dim:
        message = f"steps is {depth}; give {count} (the count) to {dim - 1}"
        raise InputError(message)
    try:
        from matfree import decomp
    except ImportError:
        message = (
            "eigenvalues of the metric need matfree; pip install 'prefiqs-jax[metric]'"
        )
        raise InputError(message) from None
    tridiagonalise = decomp.tridiag_sym(depth, custom_vjp=False)

    def find(lin: Linearised, pull: Pull) -> Eigen:
        embedding = lin.embedding[0]
        start = jax.random.normal(jax.random.key(0), (dim,), embedding.dtype)
        start = start - (start @ embedding) * embedding
        basis, matrix, rest, _ = tridiagonalise(lambda v: lin.push(pull(v))[0], start)
        values, inside = jnp.linalg.eigh(matrix)
        values, inside = values[::-1][:count], inside[:, ::-1][:, :count]
        return Eigen(values, inside.T @ basis, jnp.linalg.norm(rest) * abs(inside[-1]))

    return find
