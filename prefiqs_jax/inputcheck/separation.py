"""How far mated and non-mated similarities lie apart (d'), and how surely."""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from prefiqs_jax.statistics import bootstrap_weights


def moments(
    first: Int[np.ndarray, " comparisons"],
    second: Int[np.ndarray, " comparisons"],
    similarity: Float[np.ndarray, " comparisons"],
    clusters: int,
) -> Float[np.ndarray, "3 clusters clusters"]:
    """Sum powers 0, 1 and 2 of similarities by the clusters of the two images.

    That is all that d' of any bootstrap replicate needs. Comparisons inside a cluster,
    on the diagonal, are mated.
    """
    place = first * clusters + second
    sums = [
        np.bincount(place, weights=similarity**power, minlength=clusters**2)
        for power in range(3)
    ]
    return np.stack(sums).reshape(3, clusters, clusters)


def d_prime(
    sums: Float[np.ndarray, "3 clusters clusters"],
    weights: Float[np.ndarray, "replicates clusters"],
) -> NDArray[np.float64]:
    """Compute d' of the comparisons, each cluster weighted; shape (replicates,).

    d' = (mean mated - mean non-mated) / sqrt((variance mated + variance non-mated) /
    2), 0 if nothing varies, NaN if one kind of comparison is missing (Green & Swets
    1966, Signal Detection Theory and Psychophysics). A mated comparison of cluster i
    counts as often as the cluster is drawn, a non-mated one of i and j counts w_i · w_j
    times, as in :func:`prefiqs_jax.fiqa.edc_intervals`.

    >>> similarity = np.array([0.3, 0.1, 0.5])
    >>> sums = moments(np.array([0, 0, 1]), np.array([0, 1, 1]), similarity, 2)
    >>> d_prime(sums, np.ones((1, 2)))
    array([4.24264069])
    """
    inside = np.eye(sums.shape[1], dtype=np.bool_)
    mated = np.einsum("pi,ri->pr", sums[:, inside], weights)
    non_mated = np.stack(
        [np.einsum("ri,ri->r", weights @ table, weights) for table in sums * ~inside]
    )
    means, variances = zip(*(map(_mean_and_variance, (mated, non_mated))), strict=True)
    spread = np.sqrt((variances[0] + variances[1]) / 2)
    gap = means[0] - means[1]
    # Rounding of a similarity near 1 is no spread.
    return np.where(np.isnan(gap) | (spread > 1e-9), gap / np.maximum(spread, 1e-9), 0)


def _mean_and_variance(
    sums: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count = np.where(sums[0] > 0, sums[0], np.nan)
    mean = sums[1] / count
    return mean, np.maximum(sums[2] / count - mean**2, 0)


def d_prime_replicates(
    candidates: list[NDArray[np.float64]], replicates: int, seed: int
) -> NDArray[np.float64]:
    """Compute d' of each candidate on the same bootstrap replicates of the clusters.

    Candidates are the :func:`moments` of the same comparisons. Shape (1 + replicates,
    candidates): first the value on all, then the replicates.
    """
    clusters = candidates[0].shape[1]
    drawn = bootstrap_weights(
        np.arange(clusters), replicates, np.random.default_rng(seed)
    )
    weights = np.concatenate([np.ones((1, clusters)), drawn])
    return np.stack([d_prime(each, weights) for each in candidates], axis=1)
