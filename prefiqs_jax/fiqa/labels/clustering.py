"""K-means clustering of a few hundred points, as each identity's images are."""

import warnings

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster import vq

MOST_ITERATIONS = 300


def kmeans(
    points: Float[np.ndarray, "points dim"], clusters: int, rng: np.random.Generator
) -> Int[np.ndarray, " points"]:
    """Group points around the means of their groups, numbered from 0 without gaps.

    Starts from k-means++ and repeats Lloyd's two steps (each point to the nearest mean,
    each mean to the middle of its points) until no point changes its group. The start
    takes one index of ``rng``, then one number in [0, 1) for each mean more. There are
    fewer groups than asked for if fewer points are different, or where a mean has lost
    all its points.

    References
    ----------
    Lloyd (1982). Least squares quantization in PCM. IEEE
    Transactions on Information Theory 28.
    Arthur & Vassilvitskii (2007). k-means++: the advantages of careful seeding. SODA;
    without the several candidates a step that some programs try.

    Examples
    --------
    >>> points = np.array([[0.0], [10.0], [0.1], [10.1]])
    >>> labels = kmeans(points, 2, np.random.default_rng(0))
    >>> bool(labels[0] == labels[2] != labels[1] == labels[3])
    True
    """
    if len(points) <= clusters:
        return np.arange(len(points))
    means, labels = points[_far_apart(points, clusters, rng)], np.zeros(0, np.intp)
    with warnings.catch_warnings():
        # A mean that loses all its points stays where it is.
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        for _ in range(MOST_ITERATIONS):
            means, nearest = vq.kmeans2(points, means, iter=1, minit="matrix")
            if np.array_equal(nearest, labels):
                break
            labels = nearest
    return np.unique(labels, return_inverse=True)[1]


def _far_apart(
    points: Float[np.ndarray, "points dim"], clusters: int, rng: np.random.Generator
) -> list[int]:
    """Choose points as first means, far ones by the square of their distance.

    SciPy's own k-means++ divides by zero where fewer points than means are different.
    """
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < clusters:
        away = points - points[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("pd,pd->p", away, away))
        reach = np.cumsum(nearest)
        if reach[-1] == 0:
            break
        # The last one with any distance, should rounding bring the draw to the end.
        last = int(np.flatnonzero(nearest)[-1])
        drawn = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
        chosen.append(min(drawn, last))
    return chosen
