"""The curve of false matches equals its definition by hand."""

from typing import Any

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import false_match_edc


def _by_hand(similarity, quality, threshold):
    worst_first = sorted(zip(quality.tolist(), similarity.tolist(), strict=True))
    errors = [s >= threshold for _, s in worst_first]
    count = len(errors)
    points = [
        (k / count, sum(errors[k:]) / (count - k), count - k)
        for k in range(count)
        if k == 0 or worst_first[k][0] != worst_first[k - 1][0]
    ]
    return np.array([*points, (1, 0, 0)]).T


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("start", [0.01, 0.05, 0.3])
def test_it_equals_its_definition(digits, start):
    rng = np.random.default_rng(0)
    similarity = np.round(rng.normal(size=300), digits)
    quality = np.round(rng.random(300), digits)
    threshold = np.quantile(similarity, 1 - start)
    by_rate = false_match_edc(similarity, quality, fmr0=start)
    assert by_rate.threshold == threshold
    given = false_match_edc(similarity, quality, threshold=by_rate.threshold)
    for curve in (by_rate, given):
        fraction, fmr, left = _by_hand(similarity, quality, curve.threshold)
        np.testing.assert_array_equal(curve.discard_fraction, fraction)
        np.testing.assert_allclose(curve.fmr, fmr, atol=1e-15)
        np.testing.assert_array_equal(curve.non_mated_count, left)
    assert by_rate.threshold_from == f"FMR {start:g} before any discard"


def test_a_similarity_at_the_threshold_is_a_false_match():
    curve = false_match_edc([0.5, 0.4], [1, 2], threshold=0.5)
    np.testing.assert_array_equal(curve.fmr, [0.5, 0, 0])


def test_bad_requests():
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "give either fmr0 or threshold"),
        ({"fmr0": 0.1, "threshold": 0.2}, "give either fmr0 or threshold"),
        ({"fmr0": 1.0}, r"fmr0=1.0 is outside \(0, 1\)"),
        ({"threshold": float("inf")}, "must be finite"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            false_match_edc([0.1, 0.2], [1, 2], **options)
    with pytest.raises(InputError, match=r"non_mated_similarity\[1\] is nan"):
        false_match_edc([0.1, np.nan], [1, 2], fmr0=0.1)
