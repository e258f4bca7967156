"""Unit embeddings, and the distance between them. NumPy in, NumPy out; JAX likewise."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Array, Float

from prefiqs_jax.errors import NoDirection
from prefiqs_jax.types import ApplyFn, Images, Params

Rows = TypeVar("Rows", Array, np.ndarray)


def embed(
    apply_fn: ApplyFn, params: Params, images: Images
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
    >>> import jax.numpy as jnp
    >>> embed(lambda p, x: x @ p, jnp.eye(2), jnp.array([[3.0, 4.0]]))
    Array([[0.6, 0.8]], dtype=...)
    """
    return unit(apply_fn(params, images))


def norms(rows: Rows) -> Rows:
    """Compute the Euclidean norm of each row: shape (..., dim) to (...).

    >>> norms(np.array([[3.0, 4.0]]))
    array([5.])
    """
    return rows.__array_namespace__().linalg.norm(rows, axis=-1)


def unit(raw: Rows) -> Rows:
    """Divide rows, shape (..., dim), by their Euclidean norm.

    >>> unit(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    return raw / norms(raw)[..., None]


def drift_of(displacement: Rows) -> Rows:
    """Compute the drift D = ‖z(x; θ + δ) - z(x; θ)‖ from that displacement.

    Parameters
    ----------
    displacement
        Difference of unit embeddings, shape (..., dim).

    Returns
    -------
    Array
        Shape (...), in [0, 2]. The quality of PreFIQs is 1 - D / 2.

    References
    ----------
    Kolf et al. (2026). PreFIQs. arXiv:2605.13396.

    Examples
    --------
    >>> drift_of(np.array([[1.0, 0.0]]) - np.array([[0.0, 1.0]]))
    array([1.41421356])
    """
    return norms(displacement)


def check_norms(
    names: Sequence[str], found: Float[np.ndarray, " images"], where: str = ""
) -> None:
    """Raise NoDirection, naming the images, where an embedding has no direction.

    A zero or non-finite raw embedding cannot be normalised; its drift would be NaN.

    Parameters
    ----------
    names
        Names of the images.
    found
        Norms of their raw embeddings.
    where
        Which network it was, to be read after what is wrong.
    """
    bad = np.flatnonzero(~np.isfinite(found) | (found == 0))
    if bad.size:
        kind = "zero" if found[bad[0]] == 0 else "not finite"
        more = f" (and {bad.size - 1} more)" if bad.size > 1 else ""
        what = f"{kind}{where}, so it has no direction"
        message = f"the embedding of {names[bad[0]]}{more} is {what}"
        raise NoDirection(
            message,
            (names[each] for each in bad.tolist()),
            f"has an embedding that is zero or not finite{where}",
        )
