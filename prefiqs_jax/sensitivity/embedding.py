"""The unit face vector."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from prefiqs_jax.types import ApplyFn, Params


def embed(
    apply_fn: ApplyFn, params: Params, images: Float[Array, "batch ..."]
) -> Float[Array, "batch dim"]:
    """Compute L2-normalised embeddings z = f(x; θ) / ‖f(x; θ)‖.

    There is no epsilon in the norm: a zero raw embedding gives NaN, never a number.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim).
    params
        Weights θ.
    images
        Preprocessed images, shape (batch, height, width, channels).

    Returns
    -------
    Array
        Unit rows, shape (batch, dim).

    Examples
    --------
    >>> embed(lambda p, x: x @ p, jnp.eye(2), jnp.array([[3.0, 4.0]]))
    Array([[0.6, 0.8]], dtype=...)
    """
    return unit(apply_fn(params, images))


def unit(raw: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
    """Divide rows by their Euclidean norm."""
    return raw / jnp.linalg.norm(raw, axis=-1, keepdims=True)
