"""K-means ends where Lloyd's steps do, also where there are few or equal points."""

import numpy as np
import pytest
from scipy.cluster import vq

from prefiqs_jax.fiqa.labels.clustering import kmeans


def test_few_images_are_clusters_of_their_own():
    points = np.random.default_rng(0).normal(size=(7, 3))
    labels = kmeans(points, 20, np.random.default_rng(0))
    assert sorted(labels) == list(range(7))


@pytest.mark.parametrize("seed", range(5))
def test_each_point_is_nearest_to_the_mean_of_its_own_cluster(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(120, 8)) + 3 * rng.normal(size=(6, 8))[np.arange(120) % 6]
    labels = kmeans(points, 6, np.random.default_rng(1))
    assert len(np.unique(labels)) > 3
    means = np.array([points[labels == each].mean(0) for each in np.unique(labels)])
    np.testing.assert_array_equal(vq.vq(points, means)[0], labels)


def test_a_seed_repeats_it():
    points = np.random.default_rng(0).normal(size=(90, 4))
    one, again, other = (kmeans(points, 9, np.random.default_rng(s)) for s in (2, 2, 3))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_the_start_prefers_far_points():
    points = np.array([[0.0], [0.001], [0.002], [100.0]])
    for seed in range(20):
        labels = kmeans(points, 2, np.random.default_rng(seed))
        assert labels[0] == labels[1] == labels[2] != labels[3]


def test_equal_points_make_fewer_clusters():
    points = np.repeat([[1.0, 0.0], [0.0, 1.0]], 15, axis=0)
    labels = kmeans(points, 20, np.random.default_rng(0))
    assert len(set(labels[:15])) == len(set(labels[15:])) == 1
    assert labels[0] != labels[-1]


def test_a_mean_that_loses_its_points_is_no_cluster_and_no_warning(monkeypatch):
    points = np.array([[0.0], [1.0], [10.0], [11.0], [1000.0]])
    starts = iter([[[0.0], [10.0], [500.0], [900.0]]])
    kmeans2 = vq.kmeans2

    def far(data, means, **options):
        return kmeans2(data, np.array(next(starts, means)), **options)

    monkeypatch.setattr(vq, "kmeans2", far)
    labels = kmeans(points, 4, np.random.default_rng(0))
    assert labels.tolist() == [0, 0, 1, 1, 2]
