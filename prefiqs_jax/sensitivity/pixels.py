"""Which pixels the first-order drift depends on: its gradient by the image."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from prefiqs_jax.execution.kernels import with_plain_kernels
from prefiqs_jax.sensitivity.embedding import embed, unit
from prefiqs_jax.sensitivity.first_order import embedding_jvp, first_order
from prefiqs_jax.types import ApplyFn, Delta, Images, Params


def pixel_gradient(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    *,
    reverse_fn: ApplyFn | None = None,
) -> Float[Array, "batch height width channels"]:
    """Differentiate the first-order drift ‖J_θ z(x; θ) δ‖ by the image x.

    Exact, in reverse mode over forward mode, all images in one pass. Where activations
    have kinks, as PReLU, it is the gradient of the smooth piece that the image is on:
    the jumps of the first order at an activation's zero are not in it.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Must treat each
        image alone.
    params
        Dense weights θ.
    delta
        Direction δ; same structure, shapes and dtypes as ``params``.
    images
        Preprocessed images, shape (batch, height, width, channels).
    reverse_fn
        The same network in a form that is quick in reverse mode, if there is one, as in
        :func:`prefiqs_jax.sensitivity.layer_contributions`.

    Returns
    -------
    Array
        Like ``images``, first-order drift per unit of the preprocessed image. NaN where
        Jδ = 0, whose norm has no gradient.

    Raises
    ------
    InputError
        If delta and params differ in structure, or a leaf in shape or dtype.

    References
    ----------
    Derivation: docs/theory.md.

    Examples
    --------
    The first-order drift of two pixels a and b is here b² / (a² + b²).

    >>> def linear(p, x):
    ...     return x[:, 0, :, 0] @ p
    >>> theta, delta = jnp.eye(2), jnp.array([[0.0, 0.0], [-1.0, 0.0]])
    >>> x = jnp.array([3.0, 4.0]).reshape(1, 1, 2, 1)
    >>> pixel_gradient(linear, theta, delta, x).ravel().round(4)
    Array([-0.1536,  0.1152], dtype=...)
    """
    x = jnp.asarray(images)
    if reverse_fn is None:
        return jax.grad(lambda x: jnp.sum(first_order(apply_fn, params, delta, x)))(x)
    _, jvp = embedding_jvp(apply_fn, params, delta, x)
    return pixel_gradient_given(reverse_fn, params, delta, x, unit(jvp))


def pixel_gradient_given(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images, along: Array
) -> Array:
    """Compute :func:`pixel_gradient` from u = Jδ/‖Jδ‖ at hand, forward over reverse.

    So a form of the network without rules for forward mode will do: derivatives by x
    and by t of ⟨u, z(x; θ + tδ)⟩ commute, and at the maximum over u of ⟨u, Jδ⟩ = ‖Jδ‖ a
    change of u itself counts for nothing.
    """

    def by_image(weights: Params) -> Array:
        return jax.grad(lambda x: jnp.sum(along * embed(apply_fn, weights, x)))(images)

    def along_delta(weights: Params, change: Delta) -> Array:
        return jax.jvp(by_image, (weights,), (change,))[1]

    return with_plain_kernels(along_delta)(params, delta)


def pixel_map(
    gradient: Float[Array, "batch height width channels"],
    images: Images | None = None,
) -> Float[Array, "batch height width"]:
    """Reduce a gradient by the image to one number for each pixel.

    Parameters
    ----------
    gradient
        From :func:`pixel_gradient`, shape (batch, height, width, channels).
    images
        The same preprocessed images, for input times gradient; None = saliency.

    Returns
    -------
    Array
        Shape (batch, height, width): the largest ``|g|`` of the channels, or with
        ``images`` the sum of g x over them, which has a sign.

    References
    ----------
    Simonyan, Vedaldi and Zisserman (2014). Deep Inside Convolutional Networks. ICLR
    workshop, arXiv:1312.6034, section 3.1: saliency. Shrikumar, Greenside and Kundaje
    (2017). Learning Important Features Through Propagating Activation Differences.
    ICML, arXiv:1704.02685: input times gradient.

    Examples
    --------
    >>> gradient = jnp.array([-2.0, 1.0]).reshape(1, 1, 1, 2)
    >>> pixel_map(gradient), pixel_map(gradient, jnp.ones((1, 1, 1, 2)))
    (Array([[[2.]]], dtype=...), Array([[[-1.]]], dtype=...))
    """
    if images is None:
        return jnp.max(jnp.abs(gradient), axis=-1)
    return jnp.sum(gradient * images, axis=-1)
