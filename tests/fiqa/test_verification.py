"""Rates and thresholds are what their definitions say, ties and rounding included."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    angular_similarity,
    equal_error_rate,
    fmr_at,
    fnmr_at,
    threshold_at_fmr,
)


def test_a_similarity_at_the_threshold_matches():
    similarity = [0.2, 0.5, 0.5, 0.7]
    assert fnmr_at(similarity, 0.5) == 0.25
    assert fmr_at(similarity, 0.5) == 0.75
    above = float(np.nextafter(0.5, 1))
    assert fnmr_at(similarity, above) == 0.75
    assert fmr_at(similarity, above) == 0.25


@pytest.mark.parametrize(
    ("similarity", "fmr", "achieved", "just_above"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.25, 0.25, 0.3),
        ([0.1, 0.2, 0.3, 0.4], 0.5, 0.5, 0.2),
        ([0.1, 0.2, 0.3, 0.4], 0.74, 0.5, 0.2),
        ([0.4, 0.1, 0.3, 0.2], 0.999, 0.75, 0.1),
        # Fewer than one in four cannot be resolved: above the largest, ZeroFMR.
        ([0.1, 0.2, 0.3, 0.4], 0.2499, 0.0, 0.4),
        ([0.1, 0.2, 0.3, 0.4], 1e-9, 0.0, 0.4),
        # A tie that does not fit stays out as a whole.
        ([0.1, 0.3, 0.3, 0.4], 0.5, 0.25, 0.3),
        ([0.1, 0.3, 0.3, 0.4], 0.75, 0.75, 0.1),
        ([0.3, 0.3, 0.3, 0.3], 0.75, 0.0, 0.3),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threshold_at_fmr(similarity, fmr, achieved, just_above, dtype):
    values = np.array(similarity, dtype)
    threshold = threshold_at_fmr(values, fmr)
    assert threshold == np.nextafter(dtype(just_above), dtype(1))
    assert fmr_at(values, threshold) == achieved
    # A comparison in the precision of the similarities says the same.
    assert np.mean(values >= threshold) == achieved


@pytest.mark.parametrize("fmr", [0.01, 0.07, 0.29, 0.57, 0.58, 0.3])
@pytest.mark.parametrize("count", [100, 300, 1000])
def test_a_representable_rate_is_met_exactly(fmr, count):
    similarity = np.random.default_rng(0).permutation(count).astype(float)
    assert fmr_at(similarity, threshold_at_fmr(similarity, fmr)) == fmr


@pytest.mark.parametrize("fmr", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_rates_lie_between_zero_and_one(fmr):
    with pytest.raises(InputError, match=rf"fmr={fmr} is outside \(0, 1\)"):
        threshold_at_fmr([0.1, 0.2], fmr)


def test_similarities_must_be_numbers():
    with pytest.raises(InputError, match=r"non_mated_similarity\[1\] is nan"):
        threshold_at_fmr([0.1, np.nan], 0.1)
    with pytest.raises(InputError, match="mated_similarity is empty"):
        fnmr_at([], 0.1)
    with pytest.raises(InputError, match=r"has shape \(1, 2\)"):
        fmr_at([[0.1, 0.2]], 0.1)


@pytest.mark.parametrize(
    ("mated", "non_mated", "rate"),
    [
        ([0.8, 0.9], [0.1, 0.2], 0.0),
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.5, 0.5], [0.5], 0.5),
        ([0.4, 0.9], [0.1, 0.5], 0.5),
        # (FMR, FNMR) goes (1/3, 0), (1/3, 1/2): the rates meet on the line between.
        ([0.3, 0.9], [0.1, 0.2, 0.5], 1 / 3),
        # A tie: from (2/3, 0) to (0, 1/2) in one step; equal where x = 2/7.
        ([0.5, 0.9], [0.1, 0.5, 0.5], 2 / 7),
    ],
)
def test_equal_error_rate_by_hand(mated, non_mated, rate):
    similarity = np.array(mated + non_mated)
    is_mated = np.arange(len(similarity)) < len(mated)
    assert equal_error_rate(similarity, is_mated) == pytest.approx(rate, abs=1e-15)


def test_equal_error_rate_has_no_preferred_kind_and_no_scale():
    rng = np.random.default_rng(5)
    mated = rng.random(400) < 0.3
    similarity = np.round(rng.normal(size=400) + mated, 1)
    rate = equal_error_rate(similarity, mated)
    assert equal_error_rate(-similarity, ~mated) == pytest.approx(rate, abs=1e-14)
    assert equal_error_rate(np.exp(similarity), mated) == rate
    # Rates at the thresholds bracket it.
    steps = np.unique(similarity)
    fnmr = np.array([fnmr_at(similarity[mated], t) for t in steps])
    fmr = np.array([fmr_at(similarity[~mated], t) for t in steps])
    assert np.maximum(fnmr, fmr).min() >= rate >= np.minimum(fnmr, fmr).max()


def test_angles_keep_the_order_and_rounding_does_not_leave_the_range():
    cosine = np.array([1 + 1e-15, 0.5, 0.0, -1 - 1e-15])
    np.testing.assert_allclose(angular_similarity(cosine), [0, -1 / 3, -0.5, -1])


def test_rates_need_both_kinds():
    for mated, kind in (([1, 1], "non-mated"), ([0, 0], "mated")):
        with pytest.raises(InputError, match=f"none of 2 comparisons is {kind}"):
            equal_error_rate([0.1, 0.2], mated)
    with pytest.raises(InputError, match="must be true or false"):
        equal_error_rate([0.1, 0.2], [0, 2])
    with pytest.raises(InputError, match=r"mated has shape \(1,\)"):
        equal_error_rate([0.1, 0.2], [1])
