"""A run never mixes what differs, and never takes a file for a part that it is not."""

import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from toy import toy_backbone

from prefiqs_jax import results
from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.identity import weights_digest
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder, take_inventory
from prefiqs_jax.images.stores import Degraded, Recipe
from prefiqs_jax.masks import (
    RankedMask,
    globally,
    layerwise,
    magnitude,
    mask_named,
    random,
)
from prefiqs_jax.results.inventory import INVENTORY
from prefiqs_jax.sweep import SweepOptions, sweep
from prefiqs_jax.trees import prunable_matching


@pytest.fixture
def run_mask(backbone, pictures, tmp_path):
    """Sweep with a mask object, keywords override network and images."""

    def run(mask, out="run", *, backbone=backbone, folder=None, sparsities=(0.1, 0.3)):
        folder = folder or read_folder(pictures)
        options = SweepOptions(batch_size=4, progress=False)
        return sweep(
            backbone, folder, mask, sparsities, tmp_path / out, options=options
        )

    return run


def entries(run):
    return sorted(
        (p.name, p.stat().st_mtime_ns, p.stat().st_ino) for p in run.iterdir()
    )


def refused(run, words, call, *arguments, **options):
    """Assert that a call is refused with these words and leaves the run as it is."""
    before = entries(run)
    with pytest.raises(InputError, match=words) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    assert entries(run) == before


def pick(name, weights):
    return np.abs(weights)


def other_pick(name, weights):
    return -np.abs(weights)


other_pick.__name__ = "pick"


def everything(params, sparsity):
    return globally(magnitude)(params, sparsity)


def everything_else(params, sparsity):
    return layerwise(magnitude)(params, sparsity)


everything_else.__name__ = "everything"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (
            mask_named("global/random", seed=1),
            mask_named("global/random", seed=2),
            "seed 1, not 2",
        ),
        (globally(random(1)), globally(random(2)), "other masks: masks_sha256"),
        (globally(pick), globally(other_pick), "other masks: masks_sha256"),
        (everything, everything_else, "other masks: masks_sha256"),
        (globally(magnitude), layerwise(magnitude), "mask global/magnitude, not layer"),
        (
            mask_named("global/magnitude"),
            mask_named("global/magnitude", prunable=prunable_matching("fc/")),
            "prunable weights with two or more axes, not fc/",
        ),
        (
            globally(magnitude, prunable_matching("conv1/")),
            globally(magnitude, prunable_matching("fc/")),
            "prunable conv1/, not fc/",
        ),
    ],
    ids=["seed", "score's seed", "score", "function", "allocation", "prunable", "both"],
)
def test_another_mask_is_refused(run_mask, first, second, words):
    run = run_mask(first)
    run_mask(first)
    refused(run, words, run_mask, second)


def test_the_mask_says_what_was_pruned(run_mask):
    mask = mask_named("global/random", seed=3, prunable=prunable_matching("fc/"))
    settings = results.read_manifest(run_mask(mask))["settings"]
    assert (settings["seed"], settings["prunable"]) == (3, "fc/")
    only_fc: RankedMask = globally(magnitude, prunable_matching("fc/"))
    rows = results.read(run_mask(only_fc, "other", sparsities=(0.5,)))
    # The fraction is of what may be pruned.
    assert rows.achieved_sparsity.unique().tolist() == pytest.approx([0.5], abs=3e-3)


def test_other_weights_are_refused_though_the_file_is_the_same(run_mask, backbone):
    mask = mask_named("global/magnitude")
    run = run_mask(mask)
    halved = dict(backbone.params, fc=dict(backbone.params["fc"]))
    halved["fc"]["kernel"] = halved["fc"]["kernel"] / 2
    changed = dataclasses.replace(backbone, params=halved)
    words = "other weights: weights_sha256"
    refused(run, words, run_mask, mask, backbone=changed)
    # Running statistics are closed over, not parameters.
    other = dataclasses.replace(toy_backbone(seed=1), params=backbone.params)
    other = dataclasses.replace(other, provenance=backbone.provenance)
    refused(run, words, run_mask, mask, backbone=other)

    def twice(params, images):
        return 2 * backbone.apply_fn(params, images)

    words = "was made with backbone toy, not another"
    other = dataclasses.replace(backbone, name="another")
    refused(run, words, run_mask, mask, backbone=other)
    words = "another function of the weights and images: function bind_function"
    other = dataclasses.replace(backbone, apply_fn=twice)
    refused(run, words, run_mask, mask, backbone=other)


def scaled_by(factor, network):
    def apply_fn(params, images):
        return factor * network.apply_fn(params, images)

    return apply_fn


def power(params, images, *, gamma, network):
    return network.apply_fn(params, images) ** gamma


class Scaled:
    __slots__ = ("factor", "network")

    def __init__(self, factor, network):
        self.factor, self.network = factor, network

    def __call__(self, params, images):
        return self.factor * self.network.apply_fn(params, images)


class Holder:
    def __init__(self, factor):
        self.factor = factor


def held(factor, network):
    holder = Holder(np.full(2, factor))

    def apply_fn(params, images):
        return holder.factor[0] * network.apply_fn(params, images)

    return apply_fn


@pytest.mark.parametrize(
    "make",
    [
        scaled_by,
        Scaled,
        held,
        lambda factor, network: jax.jit(scaled_by(factor, network)),
        lambda factor, network: functools.partial(power, gamma=factor, network=network),
        lambda factor, network: Scaled(factor, network).__call__,
        lambda factor, network: (
            (lambda params, images: network.apply_fn(params, images))
            if factor == 1
            else (lambda params, images: 2 * network.apply_fn(params, images))
        ),
    ],
    ids=["closure", "slots", "held", "jit", "partial", "method", "code"],
)
def test_what_a_function_computes_with_is_its_identity(backbone, make):
    def digest(factor):
        made = make(factor, backbone)
        return weights_digest(dataclasses.replace(backbone, apply_fn=made))

    assert digest(1.0) == digest(1.0)
    assert digest(1.0) != digest(2.0)


def test_taps_and_the_quality_head_count():
    demo = load_backbone("demo")
    assert demo.taps is not None
    assert weights_digest(demo) == demo.provenance.weights_sha256
    other = dataclasses.replace(demo.taps, head=lambda params, x: 2 * x)
    assert weights_digest(dataclasses.replace(demo, taps=other)) != weights_digest(demo)
    one, two = (
        dataclasses.replace(demo, quality_head=functools.partial(np.multiply, scale))
        for scale in (1.0, 2.0)
    )
    assert weights_digest(one) != weights_digest(two)


def test_pixels_count_to_the_last_digit(run, run_sweep, backbone):
    near = dataclasses.replace(backbone.preprocessing, std=127.5000004)
    near = dataclasses.replace(backbone, preprocessing=near)
    refused(run, r"pixels .* / 127\.5, not .* / 127\.5000004", run_sweep, backbone=near)


def test_numbers_of_numpy_are_numbers(run_sweep, run_mask):
    run = run_sweep(batch_size=np.int64(4))
    run_sweep(sparsities=np.array([0.1, 0.3, 0.5]))
    assert results.read_manifest(run)["settings"]["batch_size"] == 4
    seed: Any = np.int64(1)
    run_mask(mask_named("global/random", seed=seed), "other")


def test_a_run_among_its_images_is_refused(run_sweep, pictures, tmp_path):
    (tmp_path / "link").symlink_to(pictures)
    for out in ("faces", "faces/run", "faces/person0", "link/run"):
        with pytest.raises(InputError, match="lies in the folder of the images"):
            run_sweep(out)
    assert {path.name for path in pictures.iterdir()} == {
        "person0",
        "person1",
        "person2",
    }


def test_run_json_tells_weights_changed_after_loading(run_mask, backbone):
    loaded = dataclasses.replace(
        backbone.provenance, weights_sha256=weights_digest(backbone)
    )
    backbone = dataclasses.replace(backbone, provenance=loaded)
    scaled = jax.tree.map(lambda leaf: leaf * 0.5, backbone.params)
    changed = dataclasses.replace(backbone, params=scaled)
    digests = {}
    for name, network in (("as_loaded", backbone), ("changed", changed)):
        run = run_mask(mask_named("global/magnitude"), name, backbone=network)
        manifest = results.read_manifest(run)
        assert manifest["weights"]["changed_after_loading"] == (name == "changed")
        digests[name] = manifest["settings"]["weights_sha256"]
    assert digests["as_loaded"] == loaded.weights_sha256 != digests["changed"]


def redraw(path, seed=9):
    """Replace the pixels of an image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("which", ["person0/000.png", "person1/010.png"])
@pytest.mark.parametrize("done", ["all", "some"])
def test_other_content_under_the_same_name_is_refused(
    run, run_sweep, pictures, which, done
):
    if done == "some":
        (run / "rows/part-000002.parquet").unlink()
    redraw(pictures / which)
    refused(run, f"made with other content of {which}; give", run_sweep)
    (run / INVENTORY).unlink()  # then all files are read
    refused(run, "images of other content: image_content_sha256", run_sweep)
    (run / INVENTORY).write_bytes(b"damaged")
    refused(run, "images of other content: image_content_sha256", run_sweep)


def test_content_counts_though_size_and_time_are_the_same(run_sweep, pictures):
    path = pictures / "person0" / "000.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path.with_suffix(".bmp"))
    run = run_sweep()
    path = path.with_suffix(".bmp")
    before = path.stat()
    redraw(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    refused(run, r"other content of person0/000\.bmp", run_sweep)


def test_new_times_alone_change_nothing(run, run_sweep, pictures, monkeypatch):
    rows = results.read(run)
    for path in pictures.rglob("*.png"):
        shutil.copy(path, path.with_suffix(".copy"))
        os.replace(path.with_suffix(".copy"), path)
    run_sweep()
    pd.testing.assert_frame_equal(results.read(run), rows)
    # What was found is kept: no file is read a third time.
    folder = read_folder(pictures)
    reads = []
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: reads.append(path))
    from prefiqs_jax.results.inventory import read_inventory

    known = read_inventory(run)
    assert known is not None
    assert take_inventory(folder, known) == known
    assert not reads


def test_an_image_that_changes_while_the_run_goes_on(run_sweep, pictures, monkeypatch):
    from prefiqs_jax.sweep import batches

    write = batches.write_table

    def meddle(*part):
        write(*part)
        redraw(pictures / "person1" / "010.png")

    monkeypatch.setattr(batches, "write_table", meddle)
    with pytest.raises(InputError, match=r"person1/010\.png was changed in .* went on"):
        run_sweep(batch_size=1)


def test_identities_that_come_in_mid_run_are_refused(run, run_sweep, pictures):
    (run / "rows/part-000001.parquet").unlink()
    names = read_folder(pictures).names
    lines = ["file,identity", *(f"{name},someone" for name in names)]
    (pictures / "images.csv").write_text("\n".join(lines))
    refused(run, "other identities of the images: identities_sha256", run_sweep)


def test_the_files_of_degraded_copies_count(run_mask, pictures):
    folder = read_folder(pictures)
    original = folder.names[0]
    recipe = Recipe(original, "gaussian_noise", 0.5, 1)
    copies = dataclasses.replace(
        folder,
        names=("copy", *folder.names[1:]),
        store=Degraded({"copy": recipe}),
    )
    found = take_inventory(copies)
    redraw(pictures / original)
    assert take_inventory(copies, found).changed_since(found) == ["copy"]


def break_part(part, how, run_mask, tmp_path):
    data = part.read_bytes()
    if how == "truncated":
        part.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        part.write_bytes(b"")
    elif how == "a flipped bit":
        part.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    elif how == "text":
        part.write_text("part of my thesis")
    elif how == "another network's":
        other = run_mask(
            mask_named("global/magnitude"),
            "other",
            backbone=toy_backbone(seed=4),
            sparsities=(0.1, 0.3, 0.5),
        )
        shutil.copy(other / "rows" / part.name, part)
    elif how == "another batch's":
        shutil.copy(part.with_name("part-000000.parquet"), part)
    else:
        table = pq.read_table(part)
        if how == "without labels":
            table = table.replace_schema_metadata(None)
        elif how == "cut":
            table = table.slice(0, 5)
        elif how == "edited":
            drift = pa.array(np.full(len(table), 0.3))
            place = table.column_names.index("drift")
            table = table.set_column(place, "drift", drift)
        pq.write_table(table, part)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated", "is damaged"),
        ("empty", "is damaged"),
        ("a flipped bit", "is damaged"),
        ("text", "is damaged"),
        ("another network's", "belongs to another run"),
        ("another batch's", "is a copy of the part of batch 0"),
        ("without labels", "belongs to another run"),
        ("cut", "was changed since it was written"),
        ("edited", "was changed since it was written"),
    ],
)
def test_a_bad_part_is_made_again(
    run, run_sweep, run_mask, tmp_path, capsys, how, words
):
    whole = results.read(run)
    part = run / "rows/part-000001.parquet"
    kept = (run / "rows/part-000000.parquet").stat().st_mtime_ns
    break_part(part, how, run_mask, tmp_path)
    with pytest.raises(InputError, match=rf"part-000001\.parquet {words}.*again"):
        results.read(run)
    run_sweep(progress=True)
    told = capsys.readouterr().err
    assert f"part-000001.parquet {words}" in told
    assert "it is made again" in told
    pd.testing.assert_frame_equal(results.read(run), whole)
    assert (run / "rows/part-000000.parquet").stat().st_mtime_ns == kept


def test_a_part_beyond_the_last_batch_is_refused(run, run_sweep):
    rows = results.read(run)
    extra = run / "rows/part-000009.parquet"
    shutil.copy(run / "rows/part-000001.parquet", extra)
    with pytest.raises(InputError, match=r"part-000009\.parquet is of no batch .* 3;"):
        results.read(run)
    refused(run, r"part-000009\.parquet is of no batch .* move it away", run_sweep)
    extra.rename(run / "rows/part-1.parquet")  # no name that a run gives
    pd.testing.assert_frame_equal(results.read(run), rows)


def test_an_evaluation_is_no_sweep(run):
    manifest = json.loads((run / "run.json").read_text())
    del manifest["settings"]["sparsities"]
    (run / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="holds no sweep"):
        results.read(run)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": []},
        {"settings": None},
        {"sessions": {}},
        {"sessions": [{}]},
        {"skipped": [{"x": 1}]},
        {"skipped": ["a.png"]},
    ],
)
def test_a_manifest_of_another_shape_is_damaged(run, run_sweep, change):
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | change))
    with pytest.raises(InputError, match="is damaged"):
        results.read(run)
    refused(run, "is damaged", run_sweep)


def test_a_part_that_cannot_be_read_is_not_called_damaged(run, run_sweep):
    part = run / "rows/part-000001.parquet"
    part.unlink()
    part.mkdir()  # root may read any file, but no folder
    words = r"part-000001\.parquet cannot be read: Is a directory"
    with pytest.raises(InputError, match=words):
        results.read(run)
    with pytest.raises(InputError, match=words):
        run_sweep()
    assert part.is_dir()


@pytest.mark.parametrize("version", [99, 0, "2", None, [2], True, 2.0])
def test_a_format_that_is_not_known_is_refused(run, run_sweep, version):
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | {"format": version}))
    with pytest.raises(InputError, match=r"has format .* knows 1 to 2"):
        results.read(run)
    refused(run, "has format .* knows 1 to 2", run_sweep)


def test_a_run_of_an_earlier_version_is_read_but_not_continued(run, run_sweep):
    rows = results.read(run)
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | {"format": 1}))
    pd.testing.assert_frame_equal(results.read(run), rows)
    refused(run, "earlier version .* give another --out", run_sweep)


SLOW = """
import sys, time, json
sys.path.insert(0, {tests!r})
from pathlib import Path
from toy import toy_backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, batches, sweep
write = batches.write_table
def slow(*arguments):
    while Path({hold!r}).exists():
        time.sleep(0.01)
    write(*arguments)
batches.write_table = slow
sweep(toy_backbone(), read_folder({images!r}), mask_named("global/random", seed=5),
      [0.1, 0.3], {run!r}, options=SweepOptions(batch_size=4, progress=False))
"""


@pytest.mark.slow
def test_one_process_at_a_time(run_mask, pictures, tmp_path):
    hold, run = tmp_path / "hold", tmp_path / "run"
    hold.touch()
    tests = os.path.dirname(os.path.dirname(__file__))
    script = SLOW.format(
        tests=tests, hold=str(hold), images=str(pictures), run=str(run)
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        deadline = time.monotonic() + 120
        while not (run / "run.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for seed in (5, 6):  # the same settings, and others
            mask = mask_named("global/random", seed=seed)
            words = "seed 5, not 6|is in use by .* prefiqs sweep since"
            refused(run, words, run_mask, mask)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    # The kernel has freed the lock; nothing is left over in the end.
    run_mask(mask_named("global/random", seed=5))
    assert len(results.read(run)) == 11 * 2
    assert not list(run.glob(".*"))


@pytest.mark.slow
def test_two_processes_that_begin_at_once(pictures, tmp_path):
    """Whoever comes second is refused, whether its settings are the same or not."""
    tests, run = os.path.dirname(os.path.dirname(__file__)), tmp_path / "run"
    script = SLOW.format(
        tests=tests, hold=str(tmp_path / "no"), images=str(pictures), run=str(run)
    )
    scripts = [script, script.replace("seed=5", "seed=6")]
    both = [
        subprocess.Popen([sys.executable, "-c", s], stderr=subprocess.PIPE, text=True)
        for s in scripts
    ]
    told = [process.communicate(timeout=120)[1] for process in both]
    ended = [process.returncode for process in both]
    assert sorted(ended) == [0, 1]
    loser = told[ended.index(1)].strip().splitlines()[-1]
    assert "is in use by" in loser or "was made with seed" in loser
    seed = results.read_manifest(run)["settings"]["seed"]
    assert seed == 5 + ended.index(0)
    assert len(results.read(run)) == 11 * 2
    assert not list(run.glob(".*"))
