"""How well the first order predicts the size of the drift, not only its order.

A correlation of 1 still allows a prediction that is wrong by a factor, and a right norm
one that points elsewhere. The relative residual asks for norm and direction together;
slope and norm error are of the norm alone, the cosine of the direction alone.
"""

import numpy as np
from jaxtyping import Float, Num

from prefiqs_jax.statistics.weighted import ratio


def slope_through_origin(
    first_order: Float[np.ndarray, " images"],
    drift: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Fit drift = slope × first_order by least squares; 1 is a perfect prediction.

    slope = Σ first_order · drift / Σ first_order²

    Parameters
    ----------
    first_order, drift
        Shape (images,), finite, without unit.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,); NaN where every first order is zero.

    Notes
    -----
    Images with a large first order weigh most; compare the median error of the norm.

    Examples
    --------
    >>> first_order = np.array([1.0, 2.0])
    >>> slope_through_origin(first_order, 2 * first_order, np.ones((1, 2)))
    array([2.])
    """
    return ratio(
        np.einsum("ri,i->r", weights, first_order * drift),
        np.einsum("ri,i->r", weights, first_order**2),
    )


def relative_residual(
    residual: Float[np.ndarray, "*images"], drift: Float[np.ndarray, "*images"]
) -> Float[np.ndarray, "*images"]:
    """Divide what the first order leaves unexplained by the change itself.

    ‖Δz - Jδ‖ / ‖Δz‖: 0 where the first order is exact, 1 where "nothing moves" would
    predict the change of the embedding as well. Norm and direction count together.

    Parameters
    ----------
    residual, drift
        Any shape, ‖Δz - Jδ‖ and ‖Δz‖ of images, without unit.

    Returns
    -------
    ndarray
        The same shape, 0.02 = two percent; NaN where the drift is zero.

    Examples
    --------
    >>> relative_residual(np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    array([0.25,  nan])
    """
    return ratio(residual, drift)


def norm_error(
    first_order: Float[np.ndarray, " images"], drift: Float[np.ndarray, " images"]
) -> Float[np.ndarray, " images"]:
    """Compute the relative error of the predicted norm, abs(‖Jδ‖ - ‖Δz‖) / ‖Δz‖.

    Parameters
    ----------
    first_order, drift
        Shape (images,), without unit.

    Returns
    -------
    ndarray
        Shape (images,), 0.02 = two percent; NaN where the drift is zero.

    Notes
    -----
    Says how long the change is, not where it points: two perpendicular vectors of one
    length have a norm error of 0 and a relative residual of 1.41.

    Examples
    --------
    >>> norm_error(np.array([1.1, 0.0]), np.array([1.0, 0.0])).round(3)
    array([0.1, nan])
    """
    return ratio(np.abs(first_order - drift), drift)


def mean_cosine(
    cosine: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Average the cosine between the JVP and the real displacement.

    Parameters
    ----------
    cosine
        Shape (images,); NaN where one of the two vectors is zero, left out.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), in [-1, 1]; NaN where no image has a cosine.

    Examples
    --------
    >>> mean_cosine(np.array([1.0, 0.5, np.nan]), np.ones((1, 3)))
    array([0.75])
    """
    known = np.isfinite(cosine)
    known_weights = weights[:, known].astype(np.float64, copy=False)
    total = np.einsum("ri,i->r", known_weights, cosine[known])
    return ratio(total, known_weights.sum(axis=1))
