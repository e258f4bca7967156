"""What a finite change of the weights really does to the embedding."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prefiqs_jax.sensitivity.embedding import drift_of, embed
from prefiqs_jax.sensitivity.linearise import check_delta
from prefiqs_jax.types import ApplyFn, Delta, Images, Params


def displacement(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images
) -> Float[Array, "batch dim"]:
    """Compute z(x; θ + δ) - z(x; θ), two forward passes.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim).
    params
        Dense weights θ.
    delta
        Change δ of the weights; same structure, shapes and dtypes.
    images
        Preprocessed images, shape (batch, height, width, channels).

    Returns
    -------
    Array
        Shape (batch, dim).

    Raises
    ------
    InputError
        If delta and params differ in structure, or a leaf in shape or dtype.
    """
    check_delta(params, delta)
    pruned = jax.tree.map(jnp.add, params, delta)
    return embed(apply_fn, pruned, images) - embed(apply_fn, params, images)


def drift(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images
) -> Float[Array, " batch"]:
    """Compute the drift ‖z(x; θ + δ) - z(x; θ)‖ of each image.

    Arguments and errors as in :func:`displacement`.

    Returns
    -------
    Array
        Euclidean distance of unit vectors, shape (batch,), in [0, 2].

    References
    ----------
    Kolf, Ozgur, Atzori, Babnik, Štruc, Damer and Boutros (2026). PreFIQs: Face image
    quality is what survives pruning. CVPRW. arXiv:2605.13396: D(x), with quality
    1 - D / 2.

    Examples
    --------
    >>> theta, delta = jnp.eye(2), jnp.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> drift(lambda p, x: x @ p, theta, delta, jnp.array([[2.0, 0.0]]))
    Array([1.414213...], dtype=...)
    """
    return drift_of(displacement(apply_fn, params, delta, images))


def weights_at(params: Params, delta: Delta, t: Array) -> Params:
    """Give θ + tδ, in the types of θ."""
    return jax.tree.map(lambda w, d: w + t.astype(w.dtype) * d, params, delta)
