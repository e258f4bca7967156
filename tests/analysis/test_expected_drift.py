"""Qualities at equal cost: made of what they should be, compared, and told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from simulated_run import one
from toy import toy_backbone

from prefiqs_jax.benchmarks import read_benchmark, with_degraded

ROOT = Path(__file__).resolve().parents[2]


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
    words = ["--images", str(folder), "--out", str(out), "--fmr", "0.1"]
    assert ours.main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("At equal cost in forwards expected-drift is significantly")
    assert "| out (toy), global/magnitude | 32 of 4 people | " in said
    table = pd.read_csv(out / "expected_drift.csv")
    assert set(table["reference"]) == {ours.ONE, ours.EIGHT}
    names = {name for name in ours.FORWARDS if "grafiqs" not in name} | {"severity"}
    assert set(table["quality"]) == names
    kept = pd.read_csv(out / "qualities.csv")
    benchmark = with_degraded(read_benchmark(folder, "folder"))
    assert tuple(kept["file"]) == tuple(benchmark.images.names)
    assert kept["PreFIQs"].between(0, 1).all()
    assert kept[[ours.ONE, ours.EIGHT, "first order"]].to_numpy().max() < 0


@pytest.fixture(scope="module")
def stored():
    return pd.read_csv(ROOT / "docs" / "findings" / "expected_drift.csv")


def test_the_finding_is_made_of_the_lines(script, stored):
    ours = script("expected_drift")
    lines = stored[~stored["is_reference"] & (stored["quality"] != "severity")]
    of = lines["reference"] + lines["quality"]
    equal = lines[of.isin([one + other for one, other in ours.EQUAL])]
    said = ours.finding(stored)
    low, high = (1e3 * f(equal["difference"]) for f in (min, max))
    assert f"is {low:+.1f} to {high:+.1f}. Of all {len(lines)} comparisons" in said
    norm = stored["differs"] & (stored["quality"] == "norm")
    assert f"worse in {norm.sum()} (norm)." in said
    turned = stored.assign(differs=stored.index == equal.index[0])
    turned["difference"] = turned["difference"].abs()
    name = equal["quality"].iloc[0]
    said = ours.finding(turned)
    words = (
        f"than PreFIQs or the first order in 1 and worse in 0 of {len(equal)} paired"
    )
    assert words in said
    assert f"better in 1 ({name}) and worse in 0." in said


def test_the_row_is_made_of_the_lines(script, stored):
    ours = script("expected_drift")
    part = stored[(stored["run"] == "att") & (stored["fmr"] == 0.01)]
    assert ours.front(part) == {
        "run": "att (sface), global/magnitude",
        "images": "760 of 38 people",
        "false non-matches": "863 (13%) at FMR 0.01",
        "discarded": "up to 30%",
    }
    cells = ours.row(part)
    for reference, heading in (
        (ours.EIGHT, "first order (3)"),
        (ours.ONE, "first order (3), beside 1 direction"),
    ):
        line = one(part, reference=reference, quality="first order")
        ends = [1e3 * line[f"difference{end}"] for end in ("", "_low", "_high")]
        assert cells[heading] == "{:+.1f} [{:+.1f}, {:+.1f}]".format(*ends)
    line = one(part, reference=ours.EIGHT, quality=ours.EIGHT)
    assert cells[ours.EIGHT].startswith(f"{1e3 * line['pauc']:.1f} [")
    assert cells["worse than"] == "norm"
    assert ours.row(part.assign(differs=False))["worse than"] == "–"


def test_bad_faces(script, tmp_path, capsys):
    assert (
        script("expected_drift").main(
            ["--images", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
        )
        == 2
    )
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
