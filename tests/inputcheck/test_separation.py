"""Against d' of comparisons that are really listed as often as they are drawn."""

import numpy as np
import pytest

from prefiqs_jax.inputcheck.separation import d_prime, d_prime_replicates, moments


def listed(first, second, similarity, weights):
    """Repeat each comparison as often as the weights say; then means and variances."""
    mated, others = [], []
    for i, j, s in zip(first, second, similarity, strict=True):
        if i == j:
            mated += [s] * int(weights[i])
        else:
            others += [s] * int(weights[i] * weights[j])
    spread = np.sqrt((np.var(mated) + np.var(others)) / 2)
    return (np.mean(mated) - np.mean(others)) / spread


@pytest.fixture
def comparisons():
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.arange(24) // 3)
    first, second = np.triu_indices(24, 1)
    first, second = codes[first], codes[second]
    return first, second, rng.normal(size=len(first)) + 2 * (first == second)


def test_d_prime_of_weighted_comparisons(comparisons):
    first, second, similarity = comparisons
    weights = np.random.default_rng(1).integers(0, 4, (6, 8)).astype(float)
    found = d_prime(moments(first, second, similarity, 8), weights)
    expected = [listed(first, second, similarity, each) for each in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_replicates_are_paired(comparisons):
    first, second, similarity = comparisons
    one = moments(first, second, similarity, 8)
    same = moments(first, second, 3 * similarity + 1, 8)
    drawn = d_prime_replicates([one, same], 50, seed=0)
    assert drawn.shape == (51, 2)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], rtol=1e-9)
    np.testing.assert_allclose(
        drawn[0, 0], listed(first, second, similarity, np.ones(8))
    )
    assert drawn[1:, 0].std() > 0.05


def test_nothing_varies():
    sums = moments(np.array([0, 0, 1]), np.array([0, 1, 1]), np.full(3, 0.7), 2)
    assert d_prime(sums, np.ones((1, 2))).tolist() == [0]


def test_a_kind_that_is_missing():
    sums = moments(np.array([0, 0, 1]), np.array([0, 1, 1]), np.arange(3.0), 2)
    assert np.isnan(d_prime(sums, np.array([[2.0, 0.0]]))).all()
