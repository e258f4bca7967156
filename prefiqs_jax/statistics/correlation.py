"""Correlations of many weighted replicates: Pearson, Spearman, Kendall."""

import numpy as np
import scipy
from jaxtyping import Bool, Float, Num

from prefiqs_jax.statistics.weighted import midranks, ratio


def _is_constant(
    values: Num[np.ndarray, " images"], weights: Num[np.ndarray, "replicates images"]
) -> Bool[np.ndarray, " replicates"]:
    """Say for which replicates all images that were drawn have one value.

    Found on the values, not on their variance: rounding leaves that above zero.
    """
    if weights.shape[1] == 0:
        return np.ones(len(weights), bool)
    drawn = weights > 0
    smallest = np.where(drawn, values, np.inf).min(axis=1)
    largest = np.where(drawn, values, -np.inf).max(axis=1)
    return smallest >= largest


def _correlate(
    x: Float[np.ndarray, "... images"],
    y: Float[np.ndarray, "... images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    # Deviations from each replicate's own mean: moments about zero would cancel.
    total = weights.sum(axis=1, dtype=np.float64)
    dx = x - ratio(np.sum(weights * x, axis=1), total)[:, None]
    dy = y - ratio(np.sum(weights * y, axis=1), total)[:, None]
    weighted_dx = weights * dx
    covariance = np.einsum("ri,ri->r", weighted_dx, dy)
    x_square = np.einsum("ri,ri->r", weighted_dx, dx)
    y_square = np.einsum("ri,ri->r", weights * dy, dy)
    correlation = ratio(covariance, np.sqrt(x_square) * np.sqrt(y_square))
    return np.clip(correlation, -1.0, 1.0)


def pearson(
    x: Float[np.ndarray, " images"],
    y: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute the product-moment correlation of each replicate.

    Parameters
    ----------
    x, y
        Shape (images,), finite.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), in [-1, 1]; NaN where x or y is constant.

    Notes
    -----
    Measures how well a straight line, through any point and of any slope, describes
    the data: a drift that is always twice the first order has Pearson 1.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> pearson(x, 2 * x + 1, np.array([[1, 1, 1], [0, 3, 0]]))
    array([ 1., nan])
    """
    result = _correlate(x, y, weights)
    result[_is_constant(x, weights) | _is_constant(y, weights)] = np.nan
    return result


def spearman(
    x: Float[np.ndarray, " images"],
    y: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute Spearman's rank correlation of each replicate, midranks for ties.

    Parameters
    ----------
    x, y
        Shape (images,), finite.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), in [-1, 1]; NaN where x or y is constant.

    References
    ----------
    Spearman (1904). The proof and measurement of association between two things.
    American Journal of Psychology 15.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> spearman(x, np.exp(x), np.array([[1, 1, 1]]))
    array([1.])
    """
    # Ranks are half-integers, so a constant one has deviations of exactly zero.
    return _correlate(midranks(x, weights), midranks(y, weights), weights)


def kendall(
    x: Float[np.ndarray, " images"],
    y: Float[np.ndarray, " images"],
    weights: Num[np.ndarray, "replicates images"],
) -> Float[np.ndarray, " replicates"]:
    """Compute Kendall's tau-b of each replicate.

    tau-b = (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y))

    Parameters
    ----------
    x, y
        Shape (images,), finite.
    weights
        Shape (replicates, images): how often each image was drawn.

    Returns
    -------
    ndarray
        Shape (replicates,), in [-1, 1]; NaN where x or y is constant.

    References
    ----------
    Kendall (1945). The treatment of ties in ranking problems. Biometrika 33.
    Knight (1966). A computer method for calculating Kendall's tau with ungrouped data.
    Journal of the American Statistical Association 61.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> y = np.array([1.0, 3.0, 2.0])
    >>> kendall(x, y, np.array([[1, 1, 1], [1, 2, 0], [0, 3, 0]])).round(3)
    array([0.333, 1.   ,   nan])
    """
    found = np.full(len(weights), np.nan)
    for place, copies in enumerate(weights.astype(np.intp)):
        one, other = np.repeat(x, copies), np.repeat(y, copies)
        if len(one) and np.ptp(one) and np.ptp(other):
            found[place] = scipy.stats.kendalltau(one, other)[0]
    return found
