"""What Taylor coefficients of the embedding say of the drift."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.sensitivity.embedding import norms


class PartialSums(NamedTuple):
    """What the Taylor sums of order 1, 2, … predict; each of shape (..., order, batch).

    The first of ``norm`` is the first-order drift.
    """

    norm: Array
    """‖c₁ + … + c_k‖."""
    residual: Array
    """‖displacement - c₁ - … - c_k‖."""


def partial_sums(
    coefficients: Float[Array, "*sparsity order batch dim"],
    displacement: Float[Array, "*sparsity batch dim"],
) -> PartialSums:
    """Compare the Taylor sums of each order with the real displacement.

    Parameters
    ----------
    coefficients
        From :func:`taylor`, shape (..., order, batch, dim).
    displacement
        z(θ + δ) - z(θ), shape (..., batch, dim).

    Examples
    --------
    >>> sums = partial_sums(jnp.array([[[3.0, 0.0]], [[0.0, 4.0]]]), jnp.ones((1, 2)))
    >>> print(sums.norm[:, 0], sums.residual[:, 0].round(2))
    [3. 5.] [2.24 3.61]
    """
    sums = jnp.cumsum(coefficients, axis=-3)
    return PartialSums(norms(sums), norms(displacement[..., None, :, :] - sums))


def predicted_error(
    coefficients: Float[Array, "*sparsity order batch dim"],
) -> Float[Array, "*sparsity batch"]:
    """Predict the relative error of the first order, ‖c₂‖ / ‖c₁‖, without pruning.

    ``coefficients`` are those of :func:`taylor`, of order 2 or more. NaN where both
    are zero, infinite where the first is.

    >>> predicted_error(jnp.array([[[3.0, 4.0]], [[0.5, 0.0]]]))
    Array([0.1], dtype=...)
    """
    if coefficients.shape[-3] < 2:
        message = (
            "predicted_error needs coefficients of order 2: take taylor(…, order=2)"
        )
        raise InputError(message)
    return norms(coefficients[..., 1, :, :]) / norms(coefficients[..., 0, :, :])
