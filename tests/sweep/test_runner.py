"""Whole sweeps on toy images: rows, resuming, refusing."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import blind_to_black

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import drift, first_order
from prefiqs_jax.sweep import measure_images


def test_rows(finished, backbone, pictures):
    rows = results.read(finished)
    assert list(rows.columns) == list(results.COLUMNS)
    assert len(rows) == 11 * 3
    names = read_folder(pictures).names
    assert rows.image.tolist() == [name for name in names for _ in range(3)]
    assert rows.sparsity.tolist() == [0.1, 0.3, 0.5] * 11
    assert (rows.identity == rows.image.str.split("/").str[0]).all()
    pixels = np.stack([np.asarray(Image.open(pictures / n)) for n in names])
    images = backbone.preprocess(pixels)
    for sparsity in (0.1, 0.3, 0.5):
        group = rows[rows.sparsity == sparsity]
        mask = globally(magnitude)(backbone.params, sparsity)
        delta = pruning_delta(backbone.params, mask)
        arguments = (backbone.apply_fn, backbone.params, delta, images)
        assert np.abs(group.drift - np.asarray(drift(*arguments))).max() < 1e-6
        assert (
            np.abs(group.first_order - np.asarray(first_order(*arguments))).max() < 1e-6
        )
        assert (group.achieved_sparsity - sparsity).abs().max() < 1e-3
    assert rows.quality.tolist() == (1 - rows.drift / 2).tolist()
    assert rows.cosine.abs().max() <= 1
    gap = rows.residual - np.abs(rows.drift - rows.first_order)
    assert gap.min() >= -1e-6


def test_manifest(run_sweep):
    run = run_sweep(command=["prefiqs", "sweep"])
    manifest = results.read_manifest(run)
    assert manifest["settings"]["sparsities"] == [0.1, 0.3, 0.5]
    assert manifest["settings"]["batch_size"] == 4
    assert manifest["images"]["identities"] == 3
    assert manifest["images"]["identity_source"] == "folders"
    names = [layer["name"] for layer in manifest["layers"]]
    assert names == ["conv1/kernel", "depthwise/kernel", "fc/kernel"]
    for index in range(3):
        dropped = sum(
            layer["achieved_sparsity"][index] * layer["size"]
            for layer in manifest["layers"]
        )
        total = sum(layer["size"] for layer in manifest["layers"])
        assert dropped / total == pytest.approx(manifest["achieved_sparsity"][index])
    (session,) = manifest["sessions"]
    assert session["command"] == ["prefiqs", "sweep"]
    assert "jax" in session["versions"]
    assert session["precision"] == "float32, matrix products highest"
    assert manifest["finished"] is not None


def test_independent_of_the_batch_size(run_sweep):
    one = results.read(run_sweep("one", batch_size=1))
    many = results.read(run_sweep("many", batch_size=11))
    for column in ("first_order", "drift", "residual", "cosine"):
        assert np.abs(one[column] - many[column]).max() <= 1e-6


@pytest.mark.slow
def test_a_second_batch_does_not_recompile(run_sweep):
    compiled = []
    run_sweep("warm")

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        run_sweep("few", batch_size=6)
        few = sum("backend_compile" in event for event in compiled)
        compiled.clear()
        run_sweep("many", batch_size=1)
        many = sum("backend_compile" in event for event in compiled)
    finally:
        jax.monitoring.clear_event_listeners()
    assert many == few > 0


def test_resumes_where_it_stopped(run, run_sweep):
    whole = results.read(run)
    (run / "rows/part-000001.parquet").unlink()
    (run / "rows/.part-000001.parquet.99.partial").write_bytes(b"half")
    (run / ".run.json.99.partial").write_bytes(b"half")
    kept = (run / "rows/part-000000.parquet").stat().st_mtime_ns
    run_sweep("run", batch_size=None)  # nothing said: the run keeps its batch size
    pd.testing.assert_frame_equal(results.read(run), whole)
    assert (run / "rows/part-000000.parquet").stat().st_mtime_ns == kept
    assert not list(run.glob(".*"))
    assert len(results.read_manifest(run)["sessions"]) == 2


def test_a_complete_run_is_left_alone(run, run_sweep, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError

    before = sorted((p.name, p.stat().st_mtime_ns) for p in run.iterdir())
    monkeypatch.setattr("prefiqs_jax.sweep.runner.prepare", refuse)
    run_sweep()
    assert sorted((p.name, p.stat().st_mtime_ns) for p in run.iterdir()) == before


def test_a_skipped_picture_is_named_once(run_sweep, pictures):
    (pictures / "person0" / "bad.png").write_bytes(b"no image")
    run = run_sweep(on_bad_image="skip")
    for part in run.glob("rows/part-*"):
        part.unlink()
    run_sweep(on_bad_image="skip")
    assert len(results.read_manifest(run)["skipped"]) == 1


@pytest.mark.slow
def test_survives_sigkill(run_sweep, pictures, tmp_path):
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from toy import toy_backbone
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, batches, sweep
write = batches.write_table
def slow(*arguments):
    time.sleep(0.3)
    write(*arguments)
batches.write_table = slow
sweep(toy_backbone(), read_folder({str(pictures)!r}), mask_named("global/magnitude"),
      [0.1, 0.3, 0.5], {str(tmp_path / "killed")!r},
      options=SweepOptions(batch_size=1, progress=False))
"""
    run = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while len(list(run.glob("rows/part-*"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(run.glob("rows/part-*")))
    assert 3 <= done < 11
    assert results.read_manifest(run)["finished"] is None
    assert len(results.read(run)) == 3 * done  # what is there is whole
    run_sweep("killed", batch_size=1)
    whole = results.read(run_sweep("whole", batch_size=1))
    pd.testing.assert_frame_equal(results.read(run), whole)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"sparsities": [0.1, 0.3]}, "sparsities"),
        ({"mask": "layerwise/magnitude"}, "mask layerwise|mask global/magnitude, not"),
        ({"seed": 7}, "seed 0, not 7"),
        ({"batch_size": 5}, "batch_size 4, not 5"),
    ],
)
def test_other_settings_are_refused(run, run_sweep, changed, named):
    before = sorted((p.name, p.stat().st_mtime_ns) for p in run.iterdir())
    with pytest.raises(InputError, match=named):
        run_sweep(**changed)
    assert sorted((p.name, p.stat().st_mtime_ns) for p in run.iterdir()) == before


@pytest.mark.usefixtures("run")
def test_other_pixels_are_refused(run_sweep, backbone):
    swapped = dataclasses.replace(backbone.preprocessing, channels="BGR")
    with pytest.raises(InputError, match=r"pixels .* RGB, .* not .* BGR, "):
        run_sweep(backbone=dataclasses.replace(backbone, preprocessing=swapped))


@pytest.mark.usefixtures("run")
def test_other_pictures_are_refused(run_sweep, pictures):
    (pictures / "person0" / "000.png").rename(pictures / "person0" / "new.png")
    with pytest.raises(InputError, match="images_sha256"):
        run_sweep()


def test_folders_that_are_no_runs_are_refused(run_sweep, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="not empty and is no run"):
        run_sweep("mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        run_sweep("file")


@pytest.mark.parametrize(
    ("sparsities", "words"),
    [([], "no sparsities"), ([0.1, 0.1], "given twice"), ([1.0], r"outside \[0, 1\)")],
)
def test_sparsities_that_cannot_be_used(run_sweep, tmp_path, sparsities, words):
    with pytest.raises(InputError, match=words):
        run_sweep(sparsities=sparsities)
    assert not (tmp_path / "run").exists()


def test_bad_pictures(run_sweep, pictures, tmp_path):
    (pictures / "person0" / "bad.png").write_bytes(b"no image")
    Image.new("RGB", (9, 8)).save(pictures / "person1" / "wide.png")
    with pytest.raises(InputError, match=r"2 images .*bad\.png.*--on-bad-image skip"):
        run_sweep()
    assert not (tmp_path / "run").exists()
    run = run_sweep(on_bad_image="skip")
    assert len(results.read(run)) == 11 * 3
    skipped = results.read_manifest(run)["skipped"]
    assert [entry["image"] for entry in skipped] == [
        "person0/bad.png",
        "person1/wide.png",
    ]


def test_only_bad_pictures_in_a_batch(run_sweep, pictures):
    for index in range(4):
        (pictures / "person0" / f"000{index}.png").write_bytes(b"no image")
    run = run_sweep(on_bad_image="skip", batch_size=2)
    assert len(results.read(run)) == 11 * 3


@pytest.mark.slow
def test_zero_embedding_names_image_and_sparsity(run_sweep, backbone, tmp_path):
    def vanishing(params, images):
        raw = backbone.apply_fn(params, images)
        gone = (params["fc"]["kernel"] == 0).mean() > 0.45
        return jax.numpy.where(gone, jax.numpy.zeros_like(raw), raw)

    network = dataclasses.replace(backbone, apply_fn=vanishing)
    words = r"embedding of person0/000\.png \(and 3 more\) is zero at sparsity 0\.5"
    with pytest.raises(InputError, match=words):
        run_sweep(backbone=network)
    assert not list((tmp_path / "run").glob("rows/part-*"))

    def broken(params, images):
        return backbone.apply_fn(params, images) * jax.numpy.float32("nan")

    network = dataclasses.replace(backbone, apply_fn=broken)
    with pytest.raises(InputError, match=r"not finite before pruning \(sparsity 0\)"):
        run_sweep("other", backbone=network)


def test_no_space_left(run_sweep, monkeypatch, tmp_path):
    import pyarrow.parquet

    write = pyarrow.parquet.write_table
    calls = []

    def full(table, path, **options):
        calls.append(Path(path).name)
        if sum("part-" in name for name in calls) == 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(table, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pyarrow.parquet, "write_table", full)
        with pytest.raises(InputError, match=r"part-000001\.parquet .*No space left"):
            run_sweep()
    run = tmp_path / "run"
    assert sorted(p.name for p in run.iterdir()) == [
        "images.parquet",
        "rows",
        "run.json",
    ]
    assert [p.name for p in (run / "rows").iterdir()] == ["part-000000.parquet"]
    run_sweep()
    assert len(results.read(run)) == 11 * 3


def test_masks_by_function(finished, run_sweep, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def smallest(name, w):\n    return abs(w)\n")
    ours = results.read(run_sweep("ours", mask=f"global/{file}:smallest"))
    theirs = results.read(finished)
    assert (ours.drift == theirs.drift).all()
    file.write_text("def smallest(name, w):\n    return -abs(w)\n")
    with pytest.raises(InputError, match="mask_file_sha256"):
        run_sweep("ours", mask=f"global/{file}:smallest")


def test_sparsity_zero_moves_nothing(run_sweep):
    rows = results.read(run_sweep(sparsities=[0.0, 0.5]))
    still = rows[rows.sparsity == 0]
    assert (still.first_order == 0).all()
    assert still.drift.max() < 1e-6
    assert still.cosine.isna().all()


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_damaged_manifest(run, run_sweep, text):
    (run / "run.json").write_text(text)
    with pytest.raises(InputError, match="is damaged"):
        run_sweep()


def test_damaged_part(run):
    part = run / "rows/part-000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(InputError, match=r"part-000001\.parquet is damaged"):
        results.read(run)


def test_manifest_is_plain_json(finished):
    text = (finished / "run.json").read_text()
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word))


def test_images_in_memory_give_the_same_rows(finished, backbone, pictures):
    rows = results.read(finished)
    folder = read_folder(pictures)
    pixels = np.stack([np.asarray(Image.open(pictures / n)) for n in folder.names])
    ours = measure_images(
        backbone.apply_fn,
        backbone.params,
        globally(magnitude),
        [0.1, 0.3, 0.5],
        backbone.preprocess(pixels),
        names=folder.names,
        identities=folder.identities,
        backbone="toy",
        batch_size=4,
    )
    pd.testing.assert_frame_equal(ours, rows, check_dtype=False, rtol=1e-6)
    with pytest.raises(InputError, match="11 images, 1 names"):
        measure_images(
            backbone.apply_fn,
            backbone.params,
            globally(magnitude),
            [0.1],
            backbone.preprocess(pixels),
            names=["one"],
        )


@pytest.mark.parametrize("value", [0, np.nan])
def test_images_without_direction_are_left_out(
    finished, run_sweep, backbone, pictures, capsys, value
):
    whole = results.read(finished)
    black = ["person0/000.png", "person1/001.png", "person2/005.png"]
    for name in black:
        Image.new("RGB", (8, 8)).save(pictures / name)
    blind = blind_to_black(backbone, value)
    with pytest.raises(InputError, match="--on-bad-image skip"):
        run_sweep("fail", backbone=blind)
    run = run_sweep("skip", backbone=blind, on_bad_image="skip", progress=True)
    rows = results.read(run)
    assert set(whole["image"]) - set(rows["image"]) == set(black)
    rest = whole[~whole["image"].isin(black)]
    for column in ("image", "identity", "sparsity"):
        assert rows[column].tolist() == rest[column].tolist()
    assert np.abs(np.array(rows["drift"]) - np.array(rest["drift"])).max() < 1e-6
    skipped = results.read_manifest(run)["skipped"]
    assert [each["image"] for each in skipped] == black
    assert all("zero or not finite" in each["reason"] for each in skipped)
    told = capsys.readouterr().err
    assert "left out 3 images" in told
    assert all(f"left out {name}: has an embedding" in told for name in black)
