"""The curve holds the rates at every threshold, and its corners are all of it."""

import numpy as np
import pytest

from prefiqs_jax.fiqa import (
    det,
    equal_error_rate,
    fmr_at,
    fnmr_at,
    is_zero_fmr,
    operating_point,
    threshold_at_fmr,
)


def _comparisons(seed=0, count=400, digits=2):
    rng = np.random.default_rng(seed)
    mated = rng.random(count) < 0.3
    return np.round(rng.normal(size=count) + 1.5 * mated, digits), mated


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rates_are_those_at_each_threshold(digits, dtype):
    similarity, mated = _comparisons(digits=digits)
    similarity = similarity.astype(dtype)
    curve = det(similarity, mated, every=True)
    assert len(curve.threshold) == len(np.unique(similarity)) + 1
    for threshold, fmr, fnmr in zip(*curve[:3], strict=True):
        assert fmr == pytest.approx(fmr_at(similarity[~mated], threshold), abs=1e-15)
        assert fnmr == pytest.approx(fnmr_at(similarity[mated], threshold), abs=1e-15)
    assert (curve.fmr[0], curve.fnmr[0]) == (1, 0)
    assert (curve.fmr[-1], curve.fnmr[-1]) == (0, 1)


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("seed", range(3))
def test_corners_span_the_same_lines(seed, digits):
    data = _comparisons(seed, digits=digits)
    every, corners = det(*data, every=True), det(*data)
    assert set(corners.threshold) <= set(every.threshold)
    assert len(corners.threshold) < len(every.threshold)
    for x, y in zip(every.fmr, every.fnmr, strict=True):
        # On a corner, or on the horizontal or vertical line between two neighbours.
        (dx1, dx2), (dy1, dy2) = (
            (rate[:-1] - value, rate[1:] - value)
            for rate, value in ((corners.fmr, x), (corners.fnmr, y))
        )
        horizontal = (dy1 == 0) & (dy2 == 0) & (dx1 * dx2 <= 0)
        vertical = (dx1 == 0) & (dx2 == 0) & (dy1 * dy2 <= 0)
        on_corner = (corners.fmr == x) & (corners.fnmr == y)
        assert horizontal.any() or vertical.any() or on_corner.any()


def test_it_agrees_with_the_threshold_at_an_fmr_and_the_equal_error_rate():
    similarity, mated = _comparisons()
    curve = det(similarity, mated)
    fmrs = np.array([1e-9, 0.003, 0.02, 0.25, 0.5, 0.9])
    # The first point whose FMR is at most as asked for.
    read = curve.fnmr[[np.flatnonzero(curve.fmr <= fmr)[0] for fmr in fmrs]]
    for fmr, fnmr in zip(fmrs, read, strict=True):
        threshold = threshold_at_fmr(similarity[~mated], fmr)
        assert fnmr == pytest.approx(fnmr_at(similarity[mated], threshold))
    rate = equal_error_rate(similarity, mated)
    below, above = curve.fnmr <= curve.fmr, curve.fnmr >= curve.fmr
    assert curve.fnmr[below].max() <= rate <= curve.fnmr[above].min()
    assert curve.fmr[above].max() <= rate <= curve.fmr[below].min()


def test_an_fmr_finer_than_the_comparisons_says_so():
    similarity, mated = _comparisons()
    others = int((~mated).sum())
    for fmr, expected in ((0.5 / others, True), (1.01 / others, False), (0.1, False)):
        assert is_zero_fmr(fmr, others) is expected
        point = operating_point(similarity, mated, fmr)
        assert point.is_zero_fmr is expected
        assert point.achieved_fmr <= fmr
        assert (point.achieved_fmr == 0) or not expected
        assert point.threshold == threshold_at_fmr(similarity[~mated], fmr)
        assert point.fnmr == fnmr_at(similarity[mated], point.threshold)
        assert (point.mated_count, point.non_mated_count) == (mated.sum(), others)
    # 3000 non-mated comparisons: 1e-4 is always ZeroFMR, 1e-3 is three of them.
    assert is_zero_fmr(1e-4, 3000)
    assert not is_zero_fmr(1e-3, 3000)
    assert not is_zero_fmr(1 / 3000, 3000)
