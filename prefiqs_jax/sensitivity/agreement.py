"""How well the first order tells what pruning really did, image by image."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from prefiqs_jax.sensitivity.embedding import drift_of, norms


class Agreement(NamedTuple):
    """First-order and real change of embeddings, each of shape (..., batch)."""

    first_order: Array | np.ndarray
    """‖jvp‖."""
    drift: Array | np.ndarray
    """‖displacement‖, in [0, 2]."""
    cosine: Array | np.ndarray
    """Cosine between the two; NaN where either is zero."""
    residual: Array | np.ndarray
    """‖displacement - jvp‖."""


def agreement(
    jvp: Float[Array, "*sparsity batch dim"],
    displacement: Float[Array, "*sparsity batch dim"],
) -> Agreement:
    """Compare the Jacobian-vector product with the real displacement.

    Parameters
    ----------
    jvp
        J_θ z · δ, shape (..., batch, dim).
    displacement
        z(θ + δ) - z(θ), same shape.

    Returns
    -------
    Agreement
        Norms, cosine and norm of the difference, each of shape (..., batch).

    Examples
    --------
    >>> a = agreement(jnp.array([[3.0, 0.0]]), jnp.array([[3.0, 4.0]]))
    >>> [float(value[0]) for value in a]
    [3.0, 5.0, 0.6..., 4.0]
    """
    first_order = norms(jvp)
    drift = drift_of(displacement)
    # Unit vectors before the product: at small sparsity a product of two norms of 1e-4
    # would lose nothing in float32, but one of 1e-20 underflows.
    along = jnp.sum(
        (jvp / first_order[..., None]) * (displacement / drift[..., None]), axis=-1
    )
    residual = norms(displacement - jvp)
    return Agreement(first_order, drift, jnp.clip(along, -1, 1), residual)
