"""From faces to rows, and from rows kept before to the same finding."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import toy_backbone


@pytest.fixture(scope="module")
def from_images(script):
    return script("from_images")


@pytest.fixture
def toy_study(script, from_images, monkeypatch):
    """The study of metric, on a toy, with columns that cost nothing."""
    monkeypatch.setattr(from_images, "load_backbone", lambda *_, **__: toy_backbone())
    study = script("metric").STUDY

    def observe(faces):
        ones = np.ones(len(faces.names))
        names = ("weights", "trace", "expected", "delta_norm")
        columns = dict.fromkeys([*names, "trace_error", "expected_error"], ones)
        return lambda *_: columns | {"eigenvalue_1": np.nan * ones}

    return study._replace(observe=observe)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)
    for index in range(12):
        path = tmp_path / "faces" / f"person{index % 4}" / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return tmp_path / "faces"


def made(from_images, study, folder, out, *words):
    given = ["--images", str(folder), "--out", str(out), "--quiet", *words]
    return from_images.main(study, "Words.", [*given, "--sparsities", "0.2,0.4"])


@pytest.mark.slow
def test_rows_are_kept_and_read_again(from_images, toy_study, folder, tmp_path, capsys):
    out, again = tmp_path / "toy", tmp_path / "again"
    words = ("--each", "2", "--degraded", "1")
    assert made(from_images, toy_study, folder, out, *words) == 0
    said = capsys.readouterr().out
    assert said.startswith("Along pruning ‖Jδ‖²/‖δ‖² over its mean of all")
    row = "\n| toy, global/magnitude | 8 clean of 4 people | 0.2 → 0.4 | "
    assert row in said
    rows = pd.read_csv(out / "metric_images.csv")
    assert len(rows) == 2 * 2 * 8  # sparsities, and a copy of each of two of four
    names = set(rows["image"]) - {n for n in rows["image"] if "~" in n}
    assert names == {f"person{i % 4}/{i:02}.png" for i in range(8)}
    assert set(rows["run"]) == {"toy"}
    assert min(rows["norm"]) > 0

    def fail(faces):
        raise AssertionError(faces)

    page = tmp_path / "page.md"
    given = [str(out), "--out", str(again), "--findings", str(page)]
    assert from_images.main(toy_study._replace(observe=fail), "", given) == 0
    assert capsys.readouterr().out.splitlines()[0] == said.splitlines()[0]
    for name in ("metric_images.csv", "metric.csv", "metric.png"):
        assert (again / name).read_bytes() == (out / name).read_bytes()
    assert said.splitlines()[0] in page.read_text()
    # Both at once: two runs on one figure.
    given = [str(out), "--images", str(folder), "--out", str(tmp_path / "other")]
    more = ["--quiet", "--sparsities", "0.2"]
    assert from_images.main(toy_study, "", [*given, *more]) == 0
    runs = pd.read_csv(tmp_path / "other" / "metric.csv")["run"]
    assert set(runs) == {"toy", "other"}


def test_people_who_are_not_known_are_one_each(from_images, folder):
    read = from_images.as_folder(folder, 0)
    assert from_images._first_of_each(read, 1).names == read.names
    known = from_images.as_folder(folder, None)
    assert len(from_images._first_of_each(known, 1).names) == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give --images, or folders made before"),
        (("none",), r"none has no metric_images.csv; make it with --images"),
        (("bare",), "bare.metric_images.csv lacks the column expected; make it anew"),
        (("empty",), "empty.metric_images.csv cannot be read"),
        (("headed",), "headed.metric_images.csv lacks rows; make it anew"),
        (("kept", "kept"), "two runs have one name; rename a folder"),
    ],
)
def test_what_cannot_be_used(
    from_images, toy_study, tmp_path, capsys, monkeypatch, words, told
):
    head = (
        "run,backbone,mask,image,identity,sparsity,norm,trace,delta_norm,eigenvalue_1"
    )
    line = "a,b,c,d,e,0.1,1,1,1,1"
    tables = {
        "bare": f"{head}\n{line}\n",
        "empty": "",
        "headed": f"{head},expected\n",
        "kept": f"{head},expected\n{line},1\n",
    }
    for name, text in tables.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metric_images.csv").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert from_images.main(toy_study, "", [*words, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(told, error)
    assert not (tmp_path / "out").exists()


def test_images_that_are_no_faces_of_the_size(from_images, toy_study, tmp_path, capsys):
    (tmp_path / "faces").mkdir()
    Image.new("RGB", (9, 8)).save(tmp_path / "faces" / "wide.png")
    assert made(from_images, toy_study, tmp_path / "faces", tmp_path / "out") == 2
    assert "wide.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_network_without_kinks_is_not_asked_for_them(
    from_images, toy_study, toy_faces
):
    def smooth(params, images):
        return images.reshape(len(images), -1) @ params["fc"]

    weights = np.random.default_rng(0).normal(size=(192, 6)).astype(np.float32)
    own = {"apply_fn": smooth, "params": {"fc": weights}}
    backbone = dataclasses.replace(toy_faces.backbone, **own)
    faces = toy_faces._replace(backbone=backbone)
    study = toy_study._replace(extras=("taylor2", "kinks"))
    mask = from_images.mask_named("global/magnitude")
    rows, _ = from_images.compute(study, faces, mask, [0.2], "smooth", progress=False)
    assert "predicted_error" in rows
    assert "flips" not in rows
    faces = toy_faces
    rows, _ = from_images.compute(study, faces, mask, [0.2], "kinked", progress=False)
    assert {"flips", "norm", "run"} <= set(rows)


def test_an_unknown_mask(from_images, toy_study, folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert made(from_images, toy_study, folder, out, "--mask", "global/none") == 2
    assert "global/none" in capsys.readouterr().err
