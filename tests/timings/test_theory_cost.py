"""The benchmark of the theory runs, and counts in forwards of the same network."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.networks.iresnet import IResNet

FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


@pytest.fixture
def script(monkeypatch):
    """Import the benchmark as a script beside its siblings does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    path = list(sys.path)
    yield importlib.import_module("theory_cost")
    sys.path[:] = path


def tiny(name):
    common = importlib.import_module("common")
    plan = blueprint(lambda rngs: IResNet((1, 1, 1, 1), rngs=rngs, widths=(2, 3, 3, 4)))
    tensors = common.random_tensors(plan.shapes)
    params, apply_fn = bind(plan, tensors)
    pixels = SimpleNamespace(height=112, width=112)
    architecture = SimpleNamespace(blueprint=plan, preprocessing=pixels)
    return common.Network(name, architecture, tensors, params, apply_fn)


@pytest.mark.slow
def test_every_quantity_is_counted(script, monkeypatch):
    monkeypatch.setattr(script, "random_network", tiny)
    chosen = {what: script.GOALS[what] for what in ("order 2", "layers", "flips")}
    monkeypatch.setattr(script, "GOALS", chosen)
    with jax.enable_x64(False):
        rows = script.measure("tiny", 2, 2, ["taylor2", "layers"])
    measured = [row["what"] for row in rows]
    assert measured[: len(script.GOALS)] == list(script.GOALS)
    assert measured[len(script.GOALS) :] == [
        "sweep, a sparsity",
        "sweep, taylor2 adds to a sparsity",
        "sweep, layers adds to a sparsity",
        "sweep with all of them, a sparsity",
    ]
    for row in rows:
        assert np.isfinite(row["forwards"]["all"]).all()
        assert len(row["forwards"]["all"]) == 2
        assert script.figure(row).get("at_most") == row["at_most"]
        assert row["what"] in script.describe(row)
    tables = importlib.import_module("readme_tables")
    table = "\n".join(tables.theory_table(json.loads(json.dumps({"rows": rows}))))
    assert "| order 2 | 4 | " in table
