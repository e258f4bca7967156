"""Every weighted statistic equals the plain one of the repeated sample."""

import warnings

import numpy as np
import pytest
from scipy import stats

from prefiqs_jax.statistics import (
    STATISTICS,
    Sample,
    bootstrap_weights,
    kendall,
    mean_cosine,
    norm_error,
    pearson,
    relative_residual,
    slope_through_origin,
    spearman,
    weighted_median,
)


def _tau(x, y):
    """Count the pairs in like and in unlike order, one by one."""
    one, other = (np.sign(v[:, None] - v) for v in (x, y))
    return (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())


def _plain(name, first_order, drift, residual, cosine):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = drift > 0
        error = np.abs(first_order[moved] - drift[moved]) / drift[moved]
        left = residual[moved] / drift[moved]
        found = {
            "pearson": lambda: stats.pearsonr(first_order, drift)[0],
            "spearman": lambda: stats.spearmanr(first_order, drift)[0],
            "kendall": lambda: _tau(first_order, drift),
            "slope": lambda: np.linalg.lstsq(first_order[:, None], drift)[0][0],
            "median_relative_residual": lambda: np.median(left),
            "median_norm_error": lambda: np.median(error),
            "mean_cosine": lambda: np.nanmean(cosine),
        }
        return found[name]()


CASES = {
    "no ties": lambda rng, n: rng.random((2, n)) + 0.1,
    "ties": lambda rng, n: rng.integers(1, 6, (2, n)) / 8,
    "ties and zeros": lambda rng, n: rng.integers(0, 4, (2, n)) / 3,
    "small numbers": lambda rng, n: 1e-9 * (1 + rng.random((2, n))),
    "close together": lambda rng, n: 1.0 + 1e-4 * rng.random((2, n)),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("images", [4, 25, 700])
def test_equals_the_repeated_sample(name, case, images):
    rng = np.random.default_rng(images)
    first_order, drift = CASES[case](rng, images)
    cosine = np.where(rng.random(images) < 0.2, np.nan, rng.uniform(-1, 1, images))
    cosine[0] = 0.5
    residual = rng.random(images) * drift
    weights = bootstrap_weights(np.arange(images), 8, rng)
    weights[0] = 1
    sample = Sample(first_order, drift, residual, cosine)
    found = STATISTICS[name](sample, weights)
    for got, copies in zip(found, weights.astype(int), strict=True):
        if name == "mean_cosine" and not np.isfinite(cosine[copies > 0]).any():
            assert np.isnan(got)
            continue
        want = _plain(name, *(np.repeat(v, copies) for v in sample))
        # Deviations of "close together" have only 12 digits left to begin with.
        tolerance = 1e-10 if case == "close together" else 1e-12
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", ["no ties", "ties"])
def test_kendall_of_many_images_is_exact(case):
    rng = np.random.default_rng(5)
    x, y = CASES[case](rng, 2000)
    y = x + y
    weights = bootstrap_weights(np.arange(2000) // 4, 3, rng)
    for got, copies in zip(kendall(x, y, weights), weights.astype(int), strict=True):
        assert got == pytest.approx(
            _tau(*(np.repeat(v, copies) for v in (x, y))), abs=1e-12
        )


@pytest.mark.parametrize("correlation", [pearson, spearman, kendall])
def test_a_constant_has_no_correlation(correlation):
    x = np.array([0.1, 0.2, 0.3, 0.7])
    weights = np.array([[1, 1, 1, 1], [0, 4, 0, 0], [0, 0, 7, 0], [0, 0, 0, 0]])
    constant = np.full(4, 0.1)
    assert np.isnan(correlation(x, constant, weights)).all()
    assert np.isnan(correlation(constant, x, weights)).all()
    found = correlation(x, x, weights)
    assert found[0] == pytest.approx(1, abs=1e-15)
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("correlation", [pearson, spearman, kendall])
def test_correlations_know_direction(correlation):
    x = np.random.default_rng(0).random(40)
    weights = np.ones((1, 40))
    assert correlation(x, -x, weights)[0] == pytest.approx(-1, abs=1e-12)


def test_zero_drift_has_no_slope_and_no_relative_error():
    zero, weights = np.zeros(3), np.ones((2, 3))
    assert np.isnan(slope_through_origin(zero, zero, weights)).all()
    assert np.isnan(weighted_median(norm_error(zero, zero), weights)).all()
    assert np.isnan(weighted_median(relative_residual(zero, zero), weights)).all()
    assert np.isnan(mean_cosine(np.full(3, np.nan), weights)).all()


def test_images_of_zero_drift_are_left_out_of_the_medians():
    first_order, drift = np.array([1.0, 1.1, 2.0]), np.array([0.0, 1.0, 1.0])
    weights = np.array([[5.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    found = weighted_median(norm_error(first_order, drift), weights)
    np.testing.assert_allclose(found, [0.1, np.nan, 0.55], atol=1e-12)


def test_right_norm_in_the_wrong_direction_is_no_small_residual():
    jvp, displacement = np.array([[3.0, 0.0]]), np.array([[0.0, 3.0]])
    drift = np.linalg.norm(displacement, axis=1)
    residual = np.linalg.norm(displacement - jvp, axis=1)
    assert norm_error(np.linalg.norm(jvp, axis=1), drift) == 0
    assert relative_residual(residual, drift) == pytest.approx(2**0.5)
