"""Areas above the best possible curve have its closed form."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import best_pauc, edc, pauc


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
        for straight in (True, False):
            line = np.maximum(0, start - middle) / (1 if straight else 1 - middle)
            area = best_pauc(start, limit, straight=straight)
            assert area == pytest.approx(line.mean() * limit, abs=1e-9)
        scaled = {
            name: pauc(curve, max_discard=limit, normalise="scaled")
            for name, curve in curves.items()
        }
        assert scaled["best"] == pytest.approx(0, abs=1e-3)
        assert scaled["none"] == pytest.approx(1)
        assert scaled["worst"] > 1
        above = pauc(curves["none"], max_discard=limit, normalise="best")
        least = start**2 / 2 - max(0, start - limit) ** 2 / 2
        assert above == pytest.approx(start * limit - least)
    assert best_pauc(1.0, 1.0) == 1
    with pytest.raises(InputError, match="best possible curve"):
        pauc(edc(similarity, mated, similarity), normalise="scaled")
