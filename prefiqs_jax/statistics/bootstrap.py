"""Bootstrap replicates as weights, and the percentile interval over them."""

import numpy as np
from jaxtyping import Float, Int


def bootstrap_weights(
    clusters: Int[np.ndarray, " images"], replicates: int, rng: np.random.Generator
) -> Float[np.ndarray, "replicates images"]:
    """Draw the clusters with replacement and count the copies of each image.

    Parameters
    ----------
    clusters
        Shape (images,): the cluster of each image, from 0 without gaps. Images of one
        person are not independent, so they are drawn together; ``np.arange(images)``
        draws the images one by one.
    replicates
        How many replicates.
    rng
        Generator; two calls of n and m replicates draw the same as one of n + m.

    Returns
    -------
    ndarray
        Shape (replicates, images), whole numbers in float64.

    References
    ----------
    Efron & Tibshirani (1993). An Introduction to the Bootstrap, chapters 8 and 13.

    Examples
    --------
    >>> weights = bootstrap_weights(np.array([0, 0, 1]), 4, np.random.default_rng(0))
    >>> bool(np.all(weights[:, 0] == weights[:, 1]))
    True
    >>> np.unique(weights[:, 1] + weights[:, 2])
    array([2.])
    """
    count = int(clusters.max()) + 1 if len(clusters) else 0
    drawn = rng.integers(0, max(count, 1), size=(replicates, count))
    drawn += count * np.arange(replicates)[:, None]
    copies = np.bincount(drawn.ravel(), minlength=replicates * count)
    return copies.reshape(replicates, count)[:, clusters].astype(np.float64)


def percentile_interval(
    values: Float[np.ndarray, " replicates"], level: float = 0.95
) -> tuple[float, float]:
    """Take the central percentiles of the replicates.

    Parameters
    ----------
    values
        Shape (replicates,). Replicates without the statistic (NaN: all images drawn
        had one value, say) are left out.
    level
        Coverage asked for, in (0, 1).

    Returns
    -------
    tuple of float
        Lower and upper end; NaN if no replicate has the statistic.

    Notes
    -----
    First-order accurate: with few clusters, or a correlation near 1, the coverage is
    some percent below the level.

    Examples
    --------
    >>> percentile_interval(np.array([np.nan, *range(101)]), level=0.5)
    (25.0, 75.0)
    """
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
