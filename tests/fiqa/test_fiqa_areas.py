"""Areas above the best possible curve have its closed form."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import PROTOCOLS, edc, pauc


def test_areas_above_the_best():
    rng = np.random.default_rng(1)
    mated = np.arange(40_000) < 20_000
    similarity = rng.normal(size=40_000) + 1.5 * mated
    qualities = {
        "best": similarity,
        "none": np.zeros(40_000),
        "worst": -similarity,
    }
    curves = {
        name: edc(similarity, mated, quality, fmr=0.01, protocol="fiqat")
        for name, quality in qualities.items()
    }
    start = curves["none"].fnmr[0]
    for limit in (0.2, 0.9):
        steps = np.linspace(0, limit, 200_001)
        middle = (steps[1:] + steps[:-1]) / 2
        scaled = {
            name: pauc(curve, max_discard=limit, normalise="scaled")
            for name, curve in curves.items()
        }
        assert scaled["best"] == pytest.approx(0, abs=1e-12)
        assert scaled["none"] == pytest.approx(1)
        assert scaled["worst"] > 1
        above = pauc(curves["none"], max_discard=limit, normalise="best")
        least = np.maximum(0, start - middle).mean() * limit
        assert above == pytest.approx(start * limit - least, abs=1e-9)
    with pytest.raises(InputError, match="best possible curve"):
        pauc(edc(similarity, mated, similarity), normalise="scaled")


@pytest.mark.parametrize("limit", [0.07, 0.3, 0.95])
@pytest.mark.parametrize("discard", ["mated", "proportional", "pooled"])
@pytest.mark.parametrize("steps", ["grid", "all"])
@pytest.mark.parametrize("interpolation", ["linear", "step"])
@pytest.mark.parametrize("errors", [2, 7])
def test_an_oracle_is_0_and_no_information_1(
    errors, discard, steps, interpolation, limit
):
    rng = np.random.default_rng(errors)
    mated = np.arange(90) < 20
    wrong = np.arange(90) < errors
    similarity = np.where(mated, np.where(wrong, 0.1, 0.9), 0.2) + 1e-3 * rng.random(90)
    protocol = dataclasses.replace(
        PROTOCOLS["fiqat"],
        discard=discard,
        steps=steps,
        interpolation=interpolation,
        ties="expected",
    )
    # False non-matches first, then non-mated comparisons, then those that match.
    known = np.where(wrong, 0, np.where(mated, 2, 1)) + 1e-3 * rng.random(90)
    oracle = edc(similarity, mated, known, threshold=0.5, protocol=protocol)
    options: dict[str, Any] = {"max_discard": limit, "normalise": "scaled"}
    assert pauc(oracle, **options) == pytest.approx(0, abs=1e-12)
    # Qualities that leave mated comparisons, as far as the area goes.
    worst = np.where(wrong, 2, np.where(mated, 1, 0)) + 1e-3 * rng.random(90)
    other = edc(similarity, mated, worst, threshold=0.5, protocol=protocol)
    assert pauc(other, **options) > 0.99
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        none = edc(similarity, mated, np.ones(90), threshold=0.5, protocol=protocol)
    if steps == "grid" or limit < 0.9:
        assert pauc(none, **options) == pytest.approx(1, abs=1e-9)


def test_where_all_fail_no_quality_is_the_best():
    similarity = np.array([0.1, 0.2, 0.3, 0.0])
    mated = np.array([True, True, True, False])
    curve = edc(similarity, mated, np.arange(4), threshold=0.5, protocol="fiqat")
    with pytest.raises(InputError, match="all mated comparisons fail"):
        pauc(curve, normalise="scaled")
