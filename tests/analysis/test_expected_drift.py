"""Qualities at equal cost: made of what they should be, compared, and told."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import toy_backbone

from prefiqs_jax.benchmarks import read_benchmark, with_degraded


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)
    for index in range(16):
        path = tmp_path / "faces" / f"person{index % 4}" / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return tmp_path / "faces"


@pytest.mark.slow
def test_from_faces_to_a_finding(script, folder, tmp_path, monkeypatch, capsys):
    ours = script("expected_drift")
    monkeypatch.setattr(ours, "load_backbone", lambda *_: toy_backbone())
    out = tmp_path / "out"
    assert ours.main([str(folder), "--out", str(out), "--fmr", "0.1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("**faces** (toy; 32 images, half of them degraded, of 4")
    assert "at 3, against one direction, first order has" in said
    table = pd.read_csv(out / "expected_drift.csv")
    assert set(table["reference"]) == {ours.ONE, ours.EIGHT}
    names = {name for name in ours.FORWARDS if "grafiqs" not in name} | {"severity"}
    assert set(table["quality"]) == names
    kept = pd.read_csv(out / "faces" / "qualities.csv")
    benchmark = with_degraded(read_benchmark(folder, "folder"))
    assert tuple(kept["file"]) == tuple(benchmark.images.names)
    assert kept["PreFIQs"].between(0, 1).all()
    assert kept[[ours.ONE, ours.EIGHT, "first order"]].to_numpy().max() < 0


def test_bad_faces(script, tmp_path, capsys):
    assert (
        script("expected_drift").main(
            [str(tmp_path / "none"), "--out", str(tmp_path / "out")]
        )
        == 2
    )
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
