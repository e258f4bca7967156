"""K-means against SciPy's, and where there are few or equal points."""

import numpy as np
from scipy.cluster import vq

from prefiqs_jax.fiqa.labels.clustering import kmeans, lloyd, plus_plus


def test_few_images_are_clusters_of_their_own():
    points = np.random.default_rng(0).normal(size=(7, 3))
    labels = kmeans(points, 20, np.random.default_rng(0))
    assert sorted(labels) == list(range(7))


def test_lloyd_is_that_of_scipy():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(120, 8)) + 3 * rng.normal(size=(6, 8))[np.arange(120) % 6]
    means = plus_plus(points, 6, np.random.default_rng(1))
    _, expected = vq.kmeans2(points, means, iter=100, minit="matrix")
    found = lloyd(points, means)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 3


def test_plus_plus_prefers_far_points():
    points = np.array([[0.0], [0.001], [0.002], [100.0]])
    for seed in range(20):
        means = plus_plus(points, 2, np.random.default_rng(seed))
        assert abs(means[0, 0] - means[1, 0]) > 99


def test_equal_points_make_fewer_clusters():
    points = np.repeat([[1.0, 0.0], [0.0, 1.0]], 15, axis=0)
    labels = kmeans(points, 20, np.random.default_rng(0))
    assert len(set(labels[:15])) == len(set(labels[15:])) == 1
    assert labels[0] != labels[-1]


def test_a_mean_without_points_stays_where_it_is():
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    labels = lloyd(points, np.array([[0.0], [10.0], [1000.0]]))
    assert labels.tolist() == [0, 0, 1, 1]
