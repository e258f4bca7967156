"""The benchmark of the theory runs, and counts in forwards of the same network."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from counting import convolutions, example, network

from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.networks.iresnet import IResNet
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sweep.engine import prepare
from prefiqs_jax.sweep.extras import plan_extras

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
    alone, shared = {"order 2": 4, "flips": 2}, script.IN_SWEEP.copy()
    del shared["order 3"]
    monkeypatch.setattr(script, "ALONE", alone)
    monkeypatch.setattr(script, "IN_SWEEP", shared)
    with jax.enable_x64(False):
        rows = script.measure("tiny", 2, 2)
    assert [row["what"] for row in rows] == [
        *alone,
        *(f"{what}, in a sweep" for what in shared),
    ]
    for row in rows:
        assert np.isfinite(row["forwards"]["all"]).all()
        assert len(row["forwards"]["all"]) == 2
        assert script.figure(row).get("at_most") == row["at_most"]
        assert row["what"] in script.describe(row)
    tables = importlib.import_module("readme_tables")
    table = "\n".join(tables.theory_table(json.loads(json.dumps({"rows": rows}))))
    assert "| order 2 | 4 | " in table
    assert "| order 2, in a sweep | 3.25 | " in table


@pytest.mark.parametrize(
    ("what", "reverse_fn"),
    [
        *((each, None) for each in ("order 2", "order 3", "layers", "flips", "path")),
        ("layers", network),
    ],
)
def test_passes_in_a_sweep(script, what, reverse_fn):
    (what,) = (each for each in script.IN_SWEEP if each.startswith(what))
    quantity = (script.BY_REVERSE_FORM if reverse_fn else script.IN_SWEEP)[what]

    def count(depth, sparsities):
        params, images = example(depth)
        packed = pack_masks(globally(magnitude), params, sparsities)
        words, shape = (quantity.word,), images.shape[1:]
        extras = plan_extras(words, "it", network, params, packed, shape, reverse_fn)
        problem = prepare(network, params, packed, extras=extras)
        program = script.program_of(what, problem, None)
        return convolutions(jax.make_jaxpr(program)(problem.weights, images).jaxpr)

    two, three = (
        count(4, sparsities) - count(3, sparsities)
        for sparsities in ([0.2, 0.4], [0.2, 0.4, 0.6])
    )
    assert three - two == quantity.row
    assert 3 * two - 2 * three == quantity.batch
