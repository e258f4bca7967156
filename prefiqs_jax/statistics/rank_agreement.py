"""Kendall's tau-b of many weighted replicates."""

import numpy as np
from jaxtyping import Float, Num
from scipy import stats

from prefiqs_jax.statistics.weighted import tie_labels


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
    x_label, y_label = tie_labels(x), tie_labels(y)
    found = np.full(len(weights), np.nan)
    for place, copies in enumerate(weights.astype(np.intp)):
        one, other = np.repeat(x_label, copies), np.repeat(y_label, copies)
        if len(one) and np.ptp(one) and np.ptp(other):
            # Without a p-value, whose exact distribution takes long.
            found[place] = stats.kendalltau(one, other, method="asymptotic").statistic
    return found
