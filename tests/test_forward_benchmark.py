"""The benchmark of forward passes: both frameworks hold the same network."""

import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.weights.mapping import convert

FOLDER = Path(__file__).parents[1] / "experiments" / "benchmarks"


@pytest.fixture
def forward(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("forward")


@pytest.mark.parametrize("name", ["sface", "xiaoccer_mobilefacenet"])
def test_weights_go_to_pytorch_and_back(forward, name):
    found = architecture(name)
    shapes = found.blueprint.shapes
    tensors = forward.random_tensors(shapes)
    entries = found.entries(shapes)
    state = forward.torch_state(tensors, entries)
    assert {key: value.shape for key, value in state.items()} == {
        key: entry.shape for key, entry in entries.items()
    }
    back, _ = convert(state, entries)
    for path, tensor in tensors.items():
        assert np.array_equal(back[path], tensor), path


@pytest.mark.slow
def test_a_network_is_timed_in_both(forward):
    pytest.importorskip("torch")
    sys.path.append(str(forward.TWINS))
    try:
        with jax.enable_x64(False):
            row = forward.compare("sface", batch=1, repeats=1)
    finally:
        sys.path.remove(str(forward.TWINS))
    # Its convolutions and its dense layer, by hand: 2 · outputs · inputs per output.
    assert row["gflop"] == pytest.approx(1.148, rel=0.01)
    assert row["largest_difference"] <= forward.TOLERANCE
    assert row["ratio"] > 0
    assert "sface" in forward.describe(row)
