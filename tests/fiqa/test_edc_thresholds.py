"""What sets the threshold of a curve, and whether the comparisons resolve it."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import PROTOCOLS, edc

# Tied qualities are the rule in these samples.
pytestmark = pytest.mark.filterwarnings("ignore:.* tie in quality at a cut")


def _comparisons(count=200, seed=0, digits=2):
    """Give similarities, kinds and qualities, with ties in both numbers."""
    rng = np.random.default_rng(seed)
    mated = rng.random(count) < 0.5
    quality = np.round(rng.random(count), digits)
    similarity = np.round(rng.normal(size=count) + (1 + quality) * mated, digits)
    return similarity, mated, quality


def test_a_starting_error_sets_the_threshold():
    similarity, mated, quality = _comparisons(300, digits=12)
    for start in (0.01, 0.05, 0.25):
        curve = edc(similarity, mated, quality, fnmr0=start, protocol="fiqat")
        level = float(np.quantile(similarity[mated], start))
        assert (curve.threshold == level).all()
        assert curve.fnmr[0] == np.mean(similarity[mated] < level)
        assert curve.fnmr[0] == pytest.approx(start, abs=1 / mated.sum())
        given = edc(similarity, mated, quality, threshold=level, protocol="fiqat")
        np.testing.assert_array_equal(curve.fnmr, given.fnmr)
        # Without non-mated comparisons, as fiqat has it.
        alone = edc(
            similarity[mated],
            mated[mated],
            quality[mated],
            fnmr0=start,
            protocol="fiqat",
        )
        np.testing.assert_array_equal(curve.fnmr, alone.fnmr)
        assert np.isnan(curve.fmr)
        assert curve.threshold_from == f"FNMR {start:g} before any discard"
        assert given.threshold_from.startswith("threshold ")
        assert not curve.is_zero_fmr.any()


def test_a_threshold_is_not_rounded_to_single_precision():
    similarity = np.array([0.1, 0.2, 0.3, 0.0], np.float32)
    mated = np.array([True, True, True, False])
    # float32(0.1) is above 0.1, float32(0.3) above 0.3: neither is an error there.
    for threshold, errors in ((0.1, 0), (0.3, 2), (0.30000002, 3)):
        curve = edc(
            similarity, mated, np.arange(4), threshold=threshold, protocol="fiqat"
        )
        assert curve.fnmr[0] == errors / 3


def test_what_sets_no_threshold():
    data = _comparisons(20)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"fnmr0": 0.0}, r"fnmr0=0.0 is outside \(0, 1\)"),
        ({"fnmr0": 1.5}, r"fnmr0=1.5 is outside \(0, 1\)"),
        ({"threshold": float("nan")}, "threshold=nan must be finite"),
        ({"fnmr0": 0.1, "threshold": 0.2}, "either fnmr0 or threshold"),
        ({"fnmr0": 0.1, "protocol": "crfiqa"}, "whose threshold is fixed"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            edc(*data, **{"protocol": "fiqat", **options})


def test_zero_fmr_is_said_at_each_step():
    rng = np.random.default_rng(0)
    mated = np.arange(4000) < 1000
    similarity = rng.normal(size=4000) + 2 * mated
    curve = edc(similarity, mated, rng.random(4000), fmr=1e-3)
    np.testing.assert_array_equal(curve.is_zero_fmr, curve.non_mated_count < 1000)
    assert curve.is_zero_fmr.any()
    assert not curve.is_zero_fmr[0]
    assert edc(similarity, mated, rng.random(4000), fmr=1e-4).is_zero_fmr.all()
    # A fixed threshold has seen them all, whatever is left.
    fixed = edc(similarity, mated, rng.random(4000), fmr=1e-3, protocol="proportional")
    assert not fixed.is_zero_fmr.any()
    assert fixed.non_mated_count[-1] < 1000


def test_proportional_rejection_keeps_the_mix_and_the_threshold():
    similarity, mated, quality = _comparisons(4000, digits=12)
    # The mated comparisons have a better quality.
    quality = quality + 0.02 * mated
    curve = edc(similarity, mated, quality, fmr=0.05, protocol="proportional")
    share = curve.mated_count / (curve.mated_count + curve.non_mated_count)
    np.testing.assert_allclose(share, share[0], atol=0.01)
    assert (curve.threshold == curve.threshold[0]).all()
    # The threshold is that of "crfiqa" before any discard, whose mix then drifts.
    other = edc(similarity, mated, quality, fmr=0.05)
    assert curve.threshold[0] == other.threshold[0]
    assert curve.fnmr[0] == other.fnmr[0]
    drifted = other.mated_count / (other.mated_count + other.non_mated_count)
    assert drifted[-1] > share[0] + 0.05
    assert (other.threshold[1:] != other.threshold[0]).any()
    # Its mated comparisons are those of a mated discard on the same grid.
    same = dataclasses.replace(PROTOCOLS["proportional"], discard="mated")
    alone = edc(similarity, mated, quality, fmr=0.05, protocol=same)
    np.testing.assert_array_equal(curve.fnmr, alone.fnmr)
