"""The accuracy of LFW's protocol is what a scan of every threshold gives."""

import numpy as np
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import accuracy, accuracy_interval, fold_accuracies


def scanned(similarity, mated, folds):
    """Scan all thresholds for each fold, in plain Python."""
    count, start, rates = len(similarity), 0, []
    for fold in range(folds):
        end = start + count // folds + (fold < count % folds)
        rest = [i for i in range(count) if not start <= i < end]
        tried = [*sorted({similarity[i] for i in rest}), float("inf")]
        best, most = None, -1
        for threshold in tried:
            right = sum((similarity[i] >= threshold) == mated[i] for i in rest)
            if right >= most:  # of those that tie, the highest
                best, most = threshold, right
        own = range(start, end)
        right = sum((similarity[i] >= best) == mated[i] for i in own)
        rates.append(right / len(own))
        start = end
    return sum(rates) / folds


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize(("count", "folds"), [(60, 10), (47, 10), (12, 12), (9, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_that_of_a_scan(seed, levels, count, folds, dtype):
    rng = np.random.default_rng([seed, levels, count])
    mated = rng.random(count) < 0.5
    mated[:2] = True, False
    # Few levels make ties, and thresholds at either end the best ones.
    noisy = rng.integers(0, levels, count) / levels + 0.3 * mated
    similarity = np.round(noisy, 3).astype(dtype)
    want = scanned(similarity.tolist(), mated.tolist(), folds)
    assert accuracy(similarity, mated, folds) == pytest.approx(want, abs=1e-15)


def test_what_is_known_beforehand():
    mated = np.tile([True, False], 30)
    assert accuracy(np.where(mated, 0.7, 0.2), mated) == 1
    # A dead network: all comparisons alike, so half of them are right.
    assert accuracy(np.zeros(60), mated) == 0.5
    # The mated ones are the less alike: best is that nothing matches, or everything.
    assert accuracy(np.where(mated, 0.2, 0.7), mated) == 0.5
    mostly = np.arange(60) % 6 > 0
    assert accuracy(np.where(mostly, 0.2, 0.7), mostly) == pytest.approx(5 / 6)


@pytest.mark.parametrize("folds", [1, 0, 5])
def test_folds_that_cannot_be(folds):
    with pytest.raises(InputError, match=f"{folds} folds of 4 comparisons; give from"):
        accuracy([0.1, 0.2, 0.3, 0.4], [1, 0, 1, 0], folds)


def test_one_kind_is_missing():
    with pytest.raises(InputError, match="none of 4 comparisons is non-mated"):
        accuracy([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1], 2)


def test_the_interval_is_that_of_a_corrected_mean():
    rates = np.random.default_rng(0).uniform(0.8, 0.95, 10)
    plain = stats.ttest_1samp(rates, 0).confidence_interval(0.9)
    reach = (plain.high - rates.mean()) * np.sqrt(1 + 10 / 9)
    want = [rates.mean() - reach, rates.mean() + reach]
    np.testing.assert_allclose(accuracy_interval(rates, 0.9), want)
    assert accuracy_interval([0.5, 1.0]) == (0, 1)
    assert np.isnan(accuracy_interval(np.ones(10))).all()
    for wrong in ([0.9], [[0.9, 0.8]]):
        with pytest.raises(InputError, match="give those of two folds or more"):
            accuracy_interval(wrong)
    with pytest.raises(InputError, match="confidence 1: choose"):
        accuracy_interval([0.9, 0.8], 1)


@pytest.mark.parametrize("apart", [1.5, 3.0])
def test_the_interval_covers(apart):
    """People of their own in every fold; that of LFW's standard error does not."""
    rng = np.random.default_rng(5)
    mated = np.tile([True, False], 100)
    person = np.arange(200) // 10
    rates = []
    for _ in range(300):
        noise = rng.normal(size=200) + 0.5 * rng.normal(size=20)[person]
        rates.append(fold_accuracies(noise + apart * mated, mated))
    ends = np.array([accuracy_interval(each) for each in rates])
    means = np.mean(rates, axis=1)
    expected = means.mean()
    assert np.mean((ends[:, 0] <= expected) & (expected <= ends[:, 1])) >= 0.94
    plain = stats.sem(rates, axis=1) * stats.t.ppf(0.975, 9)
    assert np.mean(np.abs(means - expected) <= plain) < 0.93
