"""The benchmark of the evaluation simulates what it says, and times all of it."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


@pytest.fixture
def script(monkeypatch):
    """Import the benchmark as a script beside it does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    path = list(sys.path)
    yield importlib.import_module("edc")
    sys.path[:] = path


def test_comparisons_are_those_that_were_asked_for(script):
    sizes = {"images": 900, "identities": 40, "mated": 300, "non_mated": 5000}
    rng = np.random.default_rng(0)
    who, noise, embeddings = script.simulated(sizes, rng)
    first, second, mated = script.listed(who, sizes, rng)
    assert len(who) == len(noise) == len(embeddings) == 900
    assert embeddings.dtype == np.float32
    assert mated.sum() == 300
    assert len(mated) == 5300
    np.testing.assert_array_equal(mated, who[first] == who[second])
    assert (first != second).all()
    assert (np.diff(first) >= 0).all()
    # Noise is what makes an image unlike its person's others.
    centre = np.array([embeddings[who == one].mean(axis=0) for one in range(40)])
    distance = np.linalg.norm(embeddings - centre[who], axis=1)
    assert np.corrcoef(distance, noise)[0, 1] > 0.9


@pytest.mark.parametrize("setting", ["ijbc", "adience"])
def test_every_part_is_timed(script, setting):
    row = script.measure(setting, script.QUICK[setting], 3)
    names = ["similarity_s", "edc_crfiqa_s", "edc_fiqat_s", "replicates_s", "table_s"]
    names += ["unit_s"] * (setting == "ijbc")
    assert min(row[name] for name in names) > 0
    assert sum(row[name] for name in names) == pytest.approx(row["total_s"])
    rates = [value for name, value in row.items() if name.endswith("_gb_per_s")]
    assert len(rates) == (4 if setting == "ijbc" else 0)
    assert row["peak_bytes"] > 0
    assert setting in script.describe(row)
    ratios = script.figures([row])
    json.dumps([row, ratios])
    goals = {each["what"]: each.get("at_most") for each in ratios}
    assert goals[f"EDC of {setting}, peak GB"] == 8
    assert goals[f"EDC of {setting}, seconds"] == (60 if setting == "ijbc" else None)
