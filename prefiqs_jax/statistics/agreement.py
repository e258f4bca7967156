"""How well the first order predicts the drift itself, not only its order.

A correlation of 1 still allows a prediction that is wrong by a factor. These three say
whether the number is right (slope, relative error), and the direction (cosine).
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
    Images with a large first order weigh most; compare the median relative error.

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


def median_relative_error(
    first_order: Float[np.ndarray, " images"],
    drift: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute the median relative error of the first order in each replicate.

    error = abs(first_order - drift) / drift

    Parameters
    ----------
    first_order, drift
        Shape (images,), finite, without unit. Images of zero drift have no relative
        error and are left out.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), 0.02 = two percent; NaN where every drift is zero.

    Examples
    --------
    >>> drift = np.array([1.0, 2.0, 4.0])
    >>> median_relative_error(1.1 * drift, drift, np.ones((1, 3))).round(3)
    array([0.1])
    """
    moved = drift > 0
    error = np.abs(first_order[moved] - drift[moved]) / drift[moved]
    order = np.argsort(error, kind="stable")
    if len(order) == 0:
        return np.full(len(weights), np.nan)
    error = error[order]
    cumulative = np.cumsum(weights[:, moved][:, order], axis=1)
    total = cumulative[:, -1]
    # Of the repeated sample, counted from zero, these are the two middle places.
    below = [(cumulative <= place[:, None]).sum(axis=1) for place in _middle(total)]
    last = len(error) - 1
    median = (error[np.minimum(below[0], last)] + error[np.minimum(below[1], last)]) / 2
    return np.where(total > 0, median, np.nan)


def _middle(total: Num[np.ndarray, " replicates"]) -> tuple[np.ndarray, np.ndarray]:
    return (total - 1) // 2, total // 2


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
