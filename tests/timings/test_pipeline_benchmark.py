"""The benchmark of loading: every way gives the same batches; a device that waits."""

import dataclasses
import importlib
import time

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.cli import bench
from prefiqs_jax.images import BadImage, decode, read_folder


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    return importlib.import_module


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(7):
        pixels = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.bmp")
    return read_folder(tmp_path)


def expected(folder, size):
    pixels = np.stack([decode(folder.root / name).pixels for name in folder.names])
    return [pixels[first : first + size] for first in range(0, len(pixels), size)]


@pytest.mark.parametrize("way", ["threads", "grain_threads"])
def test_a_way_gives_the_folder_in_order(script, folder, way):
    ways = script("pipeline_ways")
    if way != "threads" and not ways.has_grain():
        pytest.skip("grain is not installed")
    load = ways.ours(2) if way == "threads" else ways.grain_threads(2)
    batches = list(load(folder, 3))
    for found, right in zip(batches, expected(folder, 3), strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.slow
def test_processes_give_the_folder_in_order(script, folder):
    ways = script("pipeline_ways")
    with ways.process_pool(2) as load:
        batches = list(load(folder, 3))
    for found, right in zip(batches, expected(folder, 3), strict=True):
        np.testing.assert_array_equal(found, right)


def test_a_piece_of_a_process_refuses_bad_pictures(script, folder):
    (folder.root / "1.bmp").write_bytes(b"")
    with pytest.raises(BadImage, match=r"^1\.bmp is an empty file"):
        script("pipeline_ways").decoded(folder.root, folder.names)


@pytest.mark.parametrize(
    ("load_s", "waiting"),
    [
        # A batch takes the device 0.04 s. Loading hides behind that, or sticks out.
        (0.01, 0.0),
        (0.08, 0.5),
    ],
)
def test_a_device_waits_for_what_sticks_out(script, load_s, waiting):
    devices = script("pipeline_devices")

    def batches():
        for _ in range(10):
            time.sleep(load_s)
            yield range(4)

    found = devices.SimulatedDevice(images_per_s=100).run(batches())
    # The first batch is reported apart; a busy machine oversleeps a little.
    hidden = (0.36 + 0.04) / (9 * max(load_s, 0.04) + 0.04)
    assert found["waiting"] == pytest.approx(1 - hidden, abs=0.1)
    assert found["waiting"] == pytest.approx(waiting, abs=0.15)
    assert found["first_batch_s"] >= load_s


def test_first_of_keeps_people_with_their_pictures(script, folder):
    people = tuple(f"p{n}" for n in range(7))
    some = script("pipeline_devices").first_of(
        dataclasses.replace(folder, identities=people), 2
    )
    assert some.names == ("0.bmp", "1.bmp")
    assert some.identities == ("p0", "p1")
