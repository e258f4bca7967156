import csv
import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image
from toy import blind_to_black

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import globally, magnitude, mask_named, pruning_delta
from prefiqs_jax.quality import score
from prefiqs_jax.sensitivity import drift


def test_scores(backbone, pictures, tmp_path):
    folder = read_folder(pictures)
    out = tmp_path / "scores.csv"
    mask = mask_named("global/magnitude")
    count = score(backbone, folder, mask, out, batch_size=4, progress=False)
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert count == len(rows) == 11
    assert list(rows[0]) == ["image", "quality", "drift"]
    assert [row["image"] for row in rows] == list(folder.names)
    pixels = np.stack([np.asarray(Image.open(pictures / n)) for n in folder.names])
    delta = pruning_delta(backbone.params, globally(magnitude)(backbone.params, 0.4))
    expected = drift(
        backbone.apply_fn, backbone.params, delta, backbone.preprocess(pixels)
    )
    ours = np.array([float(row["drift"]) for row in rows])
    assert np.abs(ours - np.asarray(expected)).max() < 1e-6
    assert [float(r["quality"]) for r in rows] == (1 - ours / 2).tolist()


def test_path_score(backbone, pictures, tmp_path):
    folder = read_folder(pictures)
    mask = mask_named("global/magnitude")
    for layout in ("csv", "path-score"):
        score(backbone, folder, mask, tmp_path / layout, layout=layout, progress=False)
    lines = (tmp_path / "path-score").read_text().splitlines()
    rows = (tmp_path / "csv").read_text().splitlines()[1:]
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        f"{pictures}/{name}" for name in folder.names
    ]
    assert [line.rsplit(" ", 1)[1] for line in lines] == [r.split(",")[1] for r in rows]


def test_refused(backbone, pictures, tmp_path):
    folder, mask = read_folder(pictures), mask_named("global/magnitude")
    for sparsity in (-0.1, 1.0):
        with pytest.raises(InputError, match="outside"):
            score(backbone, folder, mask, tmp_path / "s", sparsity=sparsity)
    with pytest.raises(InputError, match="is a folder"):
        score(backbone, folder, mask, tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        score(backbone, folder, mask, tmp_path / "no" / "s.csv", progress=False)
    (pictures / "person0" / "bad.png").write_bytes(b"no")
    out = tmp_path / "s.csv"
    with pytest.raises(InputError, match=r"bad\.png"):
        score(backbone, read_folder(pictures), mask, out, progress=False)
    assert not out.exists()
    count = score(
        backbone, read_folder(pictures), mask, out, on_bad_image="skip", progress=False
    )
    assert count == 11


@pytest.mark.parametrize(
    "name",
    ["faces/images.csv", "faces/person0/000.png", "run/rows/part-000000.parquet"],
)
@pytest.mark.usefixtures("run")
def test_scores_replace_no_input_and_no_part(backbone, pictures, tmp_path, name):
    (pictures / "images.csv").write_text("file,identity\n")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(InputError, match="is no file of scores"):
        score(
            backbone,
            read_folder(pictures),
            mask_named("global/magnitude"),
            tmp_path / name,
            progress=False,
        )
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
@pytest.mark.parametrize("every", [False, True])
def test_an_image_without_direction_is_left_out(
    backbone, pictures, tmp_path, capsys, value, every
):
    mask, out = mask_named("global/magnitude"), tmp_path / "s.csv"
    black = [pictures / "person1" / "001.png", pictures / "person2" / "005.png"]
    for path in sorted(pictures.rglob("*.png")) if every else black:
        Image.new("RGB", (8, 8)).save(path)
    blind = blind_to_black(backbone, value)
    with pytest.raises(InputError, match="--on-bad-image skip"):
        score(blind, pictures, mask, out, batch_size=4, progress=False)
    assert not out.exists()
    how = {"on_bad_image": "skip", "batch_size": 4, "progress": False}
    count = score(blind, pictures, mask, out, **how)
    assert count == (0 if every else 9)
    names = [row.split(",")[0] for row in out.read_text().splitlines()]
    if not every:
        sighted = [n for n in read_folder(pictures).names if pictures / n not in black]
        assert names == ["image", *sighted]
    told = capsys.readouterr().err
    assert "left out person1/001.png: has no finite quality" in told


def test_a_change_that_is_rounding_is_said(backbone, pictures, tmp_path, capsys):
    mask = mask_named("layerwise/magnitude")
    pruned = jax.tree.map(
        lambda w, keep: np.where(keep, w, 0 * w),
        backbone.params,
        mask(backbone.params, 0.4),
    )
    before = dataclasses.replace(backbone, params=pruned)
    score(before, pictures, mask, tmp_path / "s.csv", sparsity=0.0, progress=False)
    assert "changes by more than rounding" in capsys.readouterr().err
    with pytest.raises(InputError, match="takes only weights that are zero already"):
        score(before, pictures, mask, tmp_path / "u.csv", sparsity=0.3, progress=False)
    assert not (tmp_path / "u.csv").exists()
    score(before, pictures, mask, tmp_path / "t.csv", sparsity=0.6, progress=False)
    assert capsys.readouterr().err == ""
