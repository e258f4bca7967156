"""A user's sweep over degraded copies, one mask of which is empty, and its report."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prefiqs_jax import load_backbone, results
from prefiqs_jax.cli import main
from prefiqs_jax.masks.named import mask_named

pytestmark = pytest.mark.slow

MASK = '''
"""Keeps everything below a sparsity of a half, as a rule of 2 in 4 does."""
import jax
import numpy as np


def half(params, sparsity):
    def keep(w):
        mask = np.ones(np.shape(w), bool)
        if sparsity >= 0.5 and mask.ndim >= 2:
            mask.reshape(-1)[::2] = False
        return mask

    return jax.tree.map(keep, params)
'''


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Sweep eight images of four people and a copy of each; give folder and run."""
    folder = tmp_path_factory.mktemp("swept")
    rng = np.random.default_rng(0)
    lines = ["file,identity,pose"]
    for index in range(8):
        pixels = rng.integers(0, 256, (14, 14, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        (folder / "faces").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "faces" / f"{index}.png")
        lines.append(
            f"{index}.png,person {index % 4},{'left' if index < 3 else 'right'}"
        )
    (folder / "faces" / "images.csv").write_text("\n".join(lines) + "\n")
    (folder / "my_mask.py").write_text(MASK)
    words = [
        "sweep",
        "--backbone",
        "demo",
        "--images",
        str(folder / "faces"),
        "--quiet",
    ]
    words += ["--mask", f"{folder / 'my_mask.py'}:half", "--sparsities", "0.1,0.7"]
    words += ["--degraded", "1", "--out", str(folder / "run")]
    assert main(words) == 0
    assert main(["report", str(folder / "run"), "--quiet"]) == 0
    return folder


@pytest.mark.slow
def test_rows_of_copies_know_what_was_done_to_them(swept):
    rows = results.read(swept / "run")
    assert len(set(rows["image"])) == 16
    known = results.with_image_columns(rows, swept / "faces")
    assert list(known["image"]) == list(rows["image"])
    assert list(known["drift"]) == list(rows["drift"])
    for row in known.to_dict("records"):
        original, tilde, what = row["image"].partition("~")
        # A copy is of its original's person, in its original's pose.
        assert row["pose"] == ("left" if int(original[0]) < 3 else "right")
        assert row["identity"] == f"person {int(original[0]) % 4}"
        done = f"{row['degradation']}_{row['severity']:g}"
        assert done == (what if tilde else "clean_0")
        assert (row["severity"] > 0) == bool(tilde)


@pytest.mark.slow
def test_its_report_looks_within_severities_and_shows_the_copies(swept):
    report = swept / "run" / "report"
    within = pd.read_csv(report / "tables" / "strata.csv", dtype={"stratum": str})
    assert set(within["strata"]) == {"severity"}
    assert within["stratum"].iloc[0] == "0"
    page = (report / "report.html").read_text("utf-8")
    assert "by severity" in page
    assert "could not be opened" not in page


def test_an_empty_mask_is_no_finding(swept):
    run = swept / "run"
    table = pd.read_csv(run / "report" / "tables" / "statistics.csv")
    empty = table.loc[table["sparsity"] == 0.1]
    assert np.isnan(empty["value"].to_numpy(np.float64)).all()
    assert set(empty["achieved_sparsity"]) == {0.0}
    assert set(empty["caution"]) == {"nothing was pruned"}
    rest = table.loc[table["sparsity"] == 0.7, "value"]
    assert np.isfinite(rest.to_numpy(np.float64)).all()
    page = (run / "report" / "report.html").read_text("utf-8")
    assert "Sparsity 0.1: nothing was pruned." in page
    assert "0.7 (achieved 0.5)" in page


def test_run_json_has_the_norm_of_the_pruning_direction(swept):
    manifest = json.loads((swept / "run" / "run.json").read_text())
    params = load_backbone("demo").params
    mask = mask_named(f"{swept / 'my_mask.py'}:half").mask_fn(params, 0.7)
    gone, every = 0.0, 0.0
    for leaf, keep in zip(*map(jax.tree.leaves, (params, mask)), strict=True):
        weights = np.asarray(leaf, np.float64)
        if weights.ndim >= 2:
            gone += np.sum(weights[~np.asarray(keep)] ** 2)
            every += np.sum(weights**2)
    assert manifest["delta_norm"] == [0.0, pytest.approx(gone**0.5)]
    assert manifest["delta_norm_relative"][1] == pytest.approx((gone / every) ** 0.5)
    layers = [layer["delta_norm"][1] for layer in manifest["layers"]]
    assert np.sum(np.square(layers)) == pytest.approx(gone)
    table = pd.read_csv(swept / "run" / "report" / "tables" / "mask.csv")
    assert table["delta_norm"].iloc[1] == pytest.approx(gone**0.5)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_copies_of_unknown_people_are_no_further_images(swept, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    for place in range(7):
        (faces / f"{place}.png").write_bytes(
            (swept / "faces" / f"{place}.png").read_bytes()
        )
    words = ["sweep", "--backbone", "demo", "--images", str(faces), "--quiet"]
    words += ["--sparsities", "0.4", "--degraded", "1", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert main(["report", str(tmp_path / "run"), "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "run" / "report" / "tables" / "statistics.csv")
    assert set(table["images"]) == {14}
    assert set(table["clusters"]) == {7}
    page = (tmp_path / "run" / "report" / "report.html").read_text("utf-8")
    assert "7 images: with fewer than 8 the intervals miss" in page
    assert "They come from few images, 7 at the fewest" in page
