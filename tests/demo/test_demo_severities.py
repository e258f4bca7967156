"""Drift against severity: same faces at every level, means, what rises and what not."""

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax.demo.severities import (
    measure_levels,
    rising,
    summarise_levels,
)
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (3, 7, 7, 3)).astype(np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def mean_difference(clean):
    """Give a drift that can be told by eye: the change of the mean image."""

    def drift(pictures):
        base = np.resize(clean, pictures.shape).astype(float)
        return np.abs(pictures - base).mean(axis=(1, 2, 3)) / 255

    return drift


def test_every_face_at_every_severity(pictures):
    levels = measure_levels(pictures, (0.5, 1.0), mean_difference(pictures), seed=5)
    assert len(levels) == len(DEGRADATIONS) * 3 * len(pictures)
    clean = levels.loc[levels["severity"] == 0, "drift"].to_numpy()
    np.testing.assert_array_equal(clean, 0)
    for place in range(len(pictures)):
        chosen = levels.query("degradation == 'jpeg' and severity == 0.5")
        found = chosen.loc[chosen["face"] == place, "drift"].item()
        degraded = degrade(pictures[place], "jpeg", 0.5, seed=5 + place)
        wanted = np.abs(degraded.astype(float) - pictures[place]).mean() / 255
        assert found == pytest.approx(wanted, rel=1e-12)
        assert wanted > 0


def test_means_intervals_and_rises():
    drift = {
        "up": [[0, 0, 0], [1, 2, 3], [2, 4, 6]],
        "dip": [[0, 0, 0], [4, 4, 4], [3, 3.5, 3]],
    }
    levels = pd.DataFrame(
        [
            (name, severity, face, value)
            for name, values in drift.items()
            for severity, pair in zip((0.0, 0.5, 1.0), values, strict=True)
            for face, value in enumerate(pair)
        ],
        columns=["degradation", "severity", "face", "drift"],
    )
    table = summarise_levels(levels)
    up = table.loc[table["degradation"] == "up"]
    assert up["drift"].tolist() == [0, 2, 4]
    # Student's interval: 4.303 standard errors of 1 / √3 and 2 / √3.
    np.testing.assert_allclose(up["high"] - up["drift"], [0, 2.484, 4.968], atol=1e-3)
    np.testing.assert_allclose(up["drift"] - up["low"], [0, 2.484, 4.968], atol=1e-3)
    assert set(table["faces"]) == {3}
    few = summarise_levels(levels.loc[levels["face"] < 2])
    assert np.isnan(np.asarray(few[["low", "high"]])).all()
    assert table["rises"].tolist() == [True, True, True, True, True, False]
    assert rising(table) == (["up"], ["dip"])
