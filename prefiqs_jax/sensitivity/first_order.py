"""Push the pruning direction through the network: exact Jacobian-vector products."""

import jax
from jaxtyping import Array, Float

from prefiqs_jax.sensitivity.embedding import norms
from prefiqs_jax.sensitivity.linearise import check_delta, linearise
from prefiqs_jax.types import ApplyFn, Delta, Images, Params


def embedding_jvp(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images
) -> tuple[Float[Array, "batch dim"], Float[Array, "batch dim"]]:
    """Push one direction through the L2-normalised embedding.

    Computes ż = J_θ z(x; θ) · δ exactly, in forward mode, at the cost of about three
    forward passes: that of :func:`linearise` and two for the tangent.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Must treat each
        image alone.
    params
        Dense weights θ.
    delta
        Direction δ, e.g. from :func:`prefiqs_jax.masks.pruning_delta`; same structure,
        shapes and dtypes as ``params``.
    images
        Preprocessed images, shape (batch, height, width, channels).

    Returns
    -------
    embedding
        Unit rows z, shape (batch, dim).
    jvp
        Tangent ż, same shape; orthogonal to the embedding row by row.

    Raises
    ------
    InputError
        If delta and params differ in structure, or a leaf in shape or dtype.

    Notes
    -----
    First order in δ: for the finite change of a really pruned network see
    :func:`prefiqs_jax.sensitivity.drift`.

    References
    ----------
    Kolf et al. (2026). PreFIQs. arXiv:2605.13396: quality from ‖J Δθ‖.

    Examples
    --------
    A linear network turns its embedding by the part of δ x across it.

    >>> import jax.numpy as jnp
    >>> theta, delta = jnp.eye(2), jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> embedding_jvp(lambda p, x: x @ p, theta, delta, jnp.array([[2.0, 0.0]]))
    (Array([[1., 0.]], dtype=...), Array([[0., 1.]], dtype=...))
    """
    lin = linearise(apply_fn, params, images)
    return lin.embedding, lin.push(delta)


def embedding_jvps(
    apply_fn: ApplyFn, params: Params, deltas: Delta, images: Images
) -> tuple[Float[Array, "batch dim"], Float[Array, "directions batch dim"]]:
    """Push many directions through one linearisation of the normalised embedding.

    The dense forward pass of :func:`linearise` is shared, the directions are batched
    (``vmap``): about 1 + 2 S forward passes for S directions.

    Parameters
    ----------
    apply_fn, params, images
        As in :func:`embedding_jvp`.
    deltas
        Like ``params`` with one leading axis more, the directions.

    Returns
    -------
    embedding
        Unit rows z, shape (batch, dim).
    jvps
        Tangents, shape (directions, batch, dim).

    Raises
    ------
    InputError
        If deltas and params differ in structure, shapes or dtypes.
    """
    check_delta(params, deltas, leading_axes=1)
    lin = linearise(apply_fn, params, images)
    return lin.embedding, jax.vmap(lin.push)(deltas)


def first_order(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images
) -> Float[Array, " batch"]:
    """Compute the first-order drift ‖J_θ z(x; θ) · δ‖ of each image.

    Arguments and errors as in :func:`embedding_jvp`. Returns shape (batch,), no unit.
    """
    _, jvp = embedding_jvp(apply_fn, params, delta, images)
    return norms(jvp)
