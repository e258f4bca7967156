"""The benchmark of rankings: it covers every score and allocation, and is honest."""

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from prefiqs_jax.masks import ALLOCATIONS, SCORES

FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


@pytest.fixture
def ranking(monkeypatch):
    """Import the benchmark, as a script beside it does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    path = list(sys.path)
    yield importlib.import_module("ranking")
    sys.path[:] = path


def drawn(ranking):
    rng = np.random.default_rng(0)
    params = {
        name: rng.standard_normal(shape, np.float32)
        for name, shape in {"a": (3, 3, 8, 16), "b": (64, 128), "c": (24, 8)}.items()
    }
    values = {name: np.abs(rng.standard_normal(w.shape)) for name, w in params.items()}
    return params, ranking.AtHand(params, values)


def test_every_score_and_allocation_is_timed(ranking):
    params, context = drawn(ranking)
    found = ranking.masks(params, context)
    assert {f"{name}/magnitude" for name in ALLOCATIONS} <= set(found)
    assert {f"global/{name}" for name in SCORES} <= set(found)
    options = argparse.Namespace(sparsities=3, repeats=1)
    rows = []
    for name, mask in found.items():
        row = ranking.measure(mask, params, options)
        rows.append({"mask": name, **row})
        parts = row["score_s"] + row["ranking_s"] + row["packing_s"]
        assert parts == pytest.approx(row["total_s"], rel=1e-6)
        assert row["extra_bytes"] > 0
    slowest = max(row["total_s"] for row in rows)
    assert ranking.figures(rows)[0]["value"] == slowest


def test_masks_of_what_is_at_hand_are_those_of_the_scores(ranking):
    params, context = drawn(ranking)
    mask = ranking.masks(params, context)["global/wanda"](params, 0.5)
    scores = np.concatenate(
        [(abs(w) * context.input_norms[n]).ravel() for n, w in params.items()]
    )
    kept = np.concatenate([mask[name].ravel() for name in params])
    assert kept.sum() == scores.size - round(0.5 * scores.size)
    assert scores[kept].min() > scores[~kept].max()
