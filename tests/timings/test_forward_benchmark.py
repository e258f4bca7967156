"""The benchmark of forward passes: both frameworks hold the same network."""

import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from prefiqs_jax.weights.mapping import convert

FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


@pytest.fixture
def script(monkeypatch):
    """Import one of the benchmarks' files, as a script beside it does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    path = list(sys.path)
    yield importlib.import_module
    sys.path[:] = path


@pytest.mark.parametrize("name", ["sface", "xiaoccer_mobilefacenet"])
def test_weights_go_to_pytorch_and_back(script, name):
    network = script("common").random_network(name)
    entries = network.architecture.entries(network.architecture.blueprint.shapes)
    state = script("twins").torch_state(network.tensors, entries)
    assert {key: value.shape for key, value in state.items()} == {
        key: entry.shape for key, entry in entries.items()
    }
    back, _ = convert(state, entries)
    for path, tensor in network.tensors.items():
        assert np.array_equal(back[path], tensor), path


@pytest.mark.slow
def test_a_network_is_timed_in_both(script):
    pytest.importorskip("torch")
    forward = script("forward")
    with jax.enable_x64(False):
        row = forward.compare("sface", batch=1, repeats=1)
    # Its convolutions and its dense layer, by hand: 2 · outputs · inputs per output.
    assert row["gflop"] == pytest.approx(1.148, rel=0.01)
    assert row["largest_difference"] <= forward.TOLERANCE
    assert 0 < row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
    assert "sface" in forward.describe(row)
