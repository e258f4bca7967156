"""Intervals cover the truth as often as they claim, and clusters stay together."""

import numpy as np
import pytest

from prefiqs_jax.statistics import bootstrap_weights, pearson, percentile_interval


def test_every_replicate_draws_as_many_clusters_as_there_are():
    clusters = np.array([0, 0, 1, 2, 2, 2, 3])
    weights = bootstrap_weights(clusters, 500, np.random.default_rng(0))
    first_of_each = weights[:, [0, 2, 3, 6]]
    assert weights.shape == (500, 7)
    assert (first_of_each.sum(axis=1) == 4).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert first_of_each.mean() == pytest.approx(1)
    # Binomial(4, 1/4)
    assert first_of_each.var(axis=0).mean() == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize("images", [1, 7, 100])
def test_draws_do_not_depend_on_how_they_are_split(images):
    clusters = np.arange(images)
    whole = bootstrap_weights(clusters, 30, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    parts = [bootstrap_weights(clusters, size, rng) for size in (1, 12, 17)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_interval_leaves_out_replicates_without_the_statistic():
    values = np.array([np.nan, 1.0, 2.0, 3.0, np.nan])
    assert percentile_interval(values, 0.5) == (1.5, 2.5)
    assert np.isnan(percentile_interval(np.full(4, np.nan))).all()


def test_pearson_interval_covers_the_truth():
    rng = np.random.default_rng(11)
    truth, simulations = 0.8, 200
    covered = 0
    for _ in range(simulations):
        x = rng.normal(size=100)
        y = truth * x + np.sqrt(1 - truth**2) * rng.normal(size=100)
        weights = bootstrap_weights(np.arange(100), 400, rng)
        low, high = percentile_interval(pearson(x, y, weights))
        covered += low <= truth <= high
    assert covered >= 0.9 * simulations


def test_clustered_data_need_wider_intervals():
    rng = np.random.default_rng(12)
    people = np.repeat(np.arange(20), 10)
    x = rng.normal(size=20)[people] + 0.1 * rng.normal(size=200)
    y = 0.7 * x + 0.7 * rng.normal(size=20)[people] + 0.1 * rng.normal(size=200)
    width = {}
    for name, clusters in (("image", np.arange(200)), ("identity", people)):
        weights = bootstrap_weights(clusters, 500, np.random.default_rng(0))
        low, high = percentile_interval(pearson(x, y, weights))
        width[name] = high - low
    assert width["identity"] > 1.5 * width["image"]
