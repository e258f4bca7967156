"""The one dense pass that everything of first order shares."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from prefiqs_jax.errors import InputError
from prefiqs_jax.sensitivity.embedding import norms, unit
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import ApplyFn, Delta, Images, Params


class Linearised(NamedTuple):
    """The unit embedding of some images, linearised in the weights."""

    embedding: Array
    """Unit rows z(x; θ), shape (batch, dim)."""
    norm: Array
    """‖f(x; θ)‖ before normalisation, shape (batch,)."""
    push: Callable[[Delta], Array]
    """Push a direction: ``delta -> J_θ z(x; θ) · δ``, shape (batch, dim), about two
    forward passes each; ``jax.vmap`` takes several directions at once."""


def linearise(apply_fn: ApplyFn, params: Params, images: Images) -> Linearised:
    """Compute unit embeddings, and keep what pushing directions through them needs.

    One forward pass, by ``jax.linearize``. The intermediate results of the whole
    network stay in memory as long as ``push`` is used.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Must treat each
        image alone.
    params
        Dense weights θ. Directions have their structure, shapes and dtypes.
    images
        Preprocessed images, shape (batch, height, width, channels).

    Returns
    -------
    Linearised
        Its ``push`` raises InputError if a direction and ``params`` differ in
        structure, or a leaf in shape or dtype.

    References
    ----------
    Kolf et al. (2026). PreFIQs. arXiv:2605.13396: the first order of the drift.

    Examples
    --------
    >>> linear = lambda theta, x: x @ theta
    >>> lin = linearise(linear, jnp.eye(2), jnp.array([[2.0, 0.0]]))
    >>> lin.push(jnp.array([[0.0, 1.0], [0.0, 0.0]]))
    Array([[0., 1.]], dtype=...)
    """

    def unit_and_norm(weights: Params) -> tuple[Array, Array]:
        raw = apply_fn(weights, images)
        return unit(raw), norms(raw)

    embedding, tangent, norm = jax.linearize(unit_and_norm, params, has_aux=True)

    def push(delta: Delta) -> Array:
        check_delta(params, delta)
        return tangent(delta)

    return Linearised(embedding, norm, push)


def check_delta(params: Params, delta: Delta, *, leading_axes: int = 0) -> None:
    """Raise InputError unless a direction has the parameters' form."""
    if jax.tree.structure(params) != jax.tree.structure(delta):
        message = (
            "delta and params differ in structure: make it with pruning_delta(params, "
            "mask)"
        )
        raise InputError(message)
    for (name, weights), (_, change) in zip(
        named_leaves(params), named_leaves(delta), strict=True
    ):
        shape, dtype = jnp.shape(change)[leading_axes:], jnp.result_type(change)
        if shape != jnp.shape(weights) or dtype != jnp.result_type(weights):
            message = (
                f"{name}: delta is {dtype} of shape {shape}, but must be "
                f"{jnp.result_type(weights)} of shape {jnp.shape(weights)}"
            )
            raise InputError(message)
