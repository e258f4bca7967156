"""The benchmarks of a sweep: opponents do the work that is timed."""

import argparse
import importlib
import sys

import jax
import numpy as np
import pytest

from prefiqs_jax.cli import bench

# PyTorch's own, of its forward mode.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is:DeprecationWarning"
)


@pytest.fixture
def script(monkeypatch):
    """Import one of the benchmarks' files, as a script beside it does."""
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    path = list(sys.path)
    yield importlib.import_module
    sys.path[:] = path


@pytest.fixture
def small(script):
    """Give a tiny PyTorch network with its pruned copies and a batch, in float64."""
    torch = pytest.importorskip("torch")
    opponents = script("opponents")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3),
            torch.nn.BatchNorm2d(4),
            torch.nn.PReLU(4),
            torch.nn.Flatten(),
            torch.nn.Linear(64, 5),
        )
        images = torch.randn(3, 3, 6, 6, dtype=torch.float64)
    module = module.double().eval().requires_grad_(False)
    pruned = opponents.prune_copies(module, [0.25, 0.5])
    return opponents.TorchSweep(module, pruned, images, "contiguous")


def by_hand(sweep):
    """First-order drift by central differences, and drift, both from forwards alone."""
    import torch

    def embed(state):
        raw = torch.func.functional_call(sweep.module, state, (sweep.images,))
        return raw / raw.norm(dim=-1, keepdim=True)

    dense = dict(sweep.module.named_parameters())
    found = []
    for copy in sweep.pruned:
        target = dict(copy.named_parameters())
        near, far = (
            embed({k: w + step * (target[k] - w) for k, w in dense.items()})
            for step in (1e-5, -1e-5)
        )
        first = (near - far).norm(dim=-1) / 2e-5
        found.append(torch.stack([first, (embed(target) - embed(dense)).norm(dim=-1)]))
    return torch.stack(found, 1).numpy()


@pytest.mark.slow
def test_opponents_find_the_same(script, small):
    opponents = script("opponents")
    expected = by_hand(small)
    assert expected.shape == (2, 2, 3)
    assert (expected > 1e-3).all()
    ways = [opponents.usual(small)]
    ways += [opponents.expert(small, "jvp", chunk) for chunk in (1, 2)]
    for call in ways:
        np.testing.assert_allclose(call(), expected, rtol=1e-6)
    for layout in script("twins").LAYOUTS:
        call = opponents.usual(small.laid_out(layout))
        np.testing.assert_allclose(call(), expected, rtol=1e-6)


def test_copies_are_pruned_by_count(small):
    weights = sum(m.weight.numel() for m in (small.module[0], small.module[4]))
    for copy, sparsity in zip(small.pruned, (0.25, 0.5), strict=True):
        zeros = sum(int((m.weight == 0).sum()) for m in (copy[0], copy[4]))
        assert zeros == round(sparsity * weights)
        assert (copy[1].weight == small.module[1].weight).all()


def test_settings_are_chosen_among_the_tried(script, small):
    opponents = script("opponents")
    layouts = script("twins").LAYOUTS
    found = opponents.best_usual({name: small.laid_out(name) for name in layouts})
    assert found.settings["tried_s"].keys() == set(layouts)
    np.testing.assert_allclose(found.call(), by_hand(small), rtol=1e-6)


def test_a_line_is_fitted(script):
    scaling = script("scaling")
    exact = scaling.line([1, 2, 5, 10], [1.5, 2.0, 3.5, 6.0])
    assert exact["each_s"] == pytest.approx(0.5)
    assert exact["start_s"] == pytest.approx(1.0)
    assert exact["worst_deviation"] < 1e-9
    bent = scaling.line([1, 2, 5, 10], [1.0, 4.0, 25.0, 100.0])
    assert bent["worst_deviation"] > scaling.NOT_A_LINE


def test_a_fraction_of_a_known_peak_only(script):
    peaks = script("peaks")
    assert peaks.sweep_flops(7, 10) == 31 * 7
    assert peaks.peak_fraction(33.5e12, "NVIDIA H200", "highest") == {
        "peak_flops_per_s": 67e12,
        "peak_fraction": 0.5,
    }
    assert peaks.peak_fraction(1e12, "cpu", "highest") == {}


def test_errors_of_a_precision(script):
    from prefiqs_jax.sensitivity import Agreement
    from prefiqs_jax.sweep.engine import Measured

    exact = np.array([[1.0, 2.0, 4.0]])
    other = exact * [[1.0, 1.25, 0.5]]
    found, wanted = (
        Measured(Agreement(*[values] * 4), None, None, {}) for values in (other, exact)
    )
    (row,) = script("precision").errors(found, wanted, [0.4])
    assert row["sparsity"] == 0.4
    assert row["first_order_median"] == row["drift_median"] == 0.25
    assert row["first_order_largest"] == row["drift_largest"] == 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr:UserWarning")
def test_a_network_is_swept_in_both(script):
    pytest.importorskip("torch")
    sweep_cost = script("sweep_cost")
    options = argparse.Namespace(
        forwards=1, repeats=2, no_torch=False, no_compile=True, tune="never"
    )
    network = script("common").random_network("xiaoccer_mobilefacenet")
    with jax.enable_x64(False):
        row = sweep_cost.compare(network, 1, 2, options)
    assert row["floor_forwards"] == 7
    ours, theirs = row["ours"], row["pytorch"]
    assert len(ours["dense_s"]["all"]) == 2
    assert ours["cost_forwards"]["all"][1] == pytest.approx(
        ours["sweep_s"]["all"][1] / ours["dense_s"]["all"][1]
    )
    assert theirs["fastest"]["name"] == "expert"  # nothing is compiled here
    for name in ("usual", "fastest"):
        assert theirs[name]["largest_difference"] <= 1e-3
        assert theirs[name]["time_over_ours"]["all"] == pytest.approx(
            [
                one / other
                for one, other in zip(
                    theirs[name]["sweep_s"]["all"], ours["sweep_s"]["all"], strict=True
                )
            ]
        )
    assert "PyTorch, expert" in sweep_cost.describe(row)
    whats = [figure["what"] for figure in sweep_cost.ratios(row)]
    assert any("over floor" in what for what in whats)
