"""The benchmark of quality scores runs, and counts in forwards of the same network."""

import importlib
import sys
from pathlib import Path

import jax
import pytest
from quality.quality_networks import tiny_iresnet

from prefiqs_jax.quality import Draws

FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


@pytest.fixture
def script(monkeypatch):
    """Import the benchmark as a script beside its siblings does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    path = list(sys.path)
    yield importlib.import_module("quality_cost")
    sys.path[:] = path


def test_rows(script):
    backbone = tiny_iresnet()
    with jax.enable_x64(False):
        made = script.scorers(backbone, ["norm", "random"], 2, (0.4,), Draws())
        rows = script.measure(backbone, made, 2, repeats=2)
    assert [row["method"] for row in rows] == ["norm", "random"]
    for row in rows:
        assert row["forwards"] == pytest.approx(row["seconds"] / row["forward_s"])
        assert row["method"] in script.describe(row)
        assert script.figure(row)["value"] == row["forwards"]
    assert rows[0]["by_definition"] == "1"
