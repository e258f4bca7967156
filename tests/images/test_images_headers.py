import dataclasses
import threading

import pytest
from PIL import Image

from prefiqs_jax.images import (
    BadImage,
    check_headers,
    describe_bad,
    headers,
    read_folder,
)
from prefiqs_jax.images.stores import files


@pytest.fixture
def folder(tmp_path):
    for number in range(10):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    return read_folder(tmp_path)


def test_check_headers_waits_for_many_pictures_together(folder, monkeypatch):
    monkeypatch.setattr(headers, "_PIECE", 1)
    everybody = threading.Barrier(4, timeout=10)  # broken, if fewer ever wait

    class Slow(files.Files):
        def check(self, root, name, needed):
            if int(name[0]) < 8:
                everybody.wait()
            raise BadImage(name, "is slow")

    slow = dataclasses.replace(folder, store=Slow())
    assert [name for name, _ in check_headers(slow, 8, 8)] == list(folder.names)


def test_check_headers_finds_samples_without_a_white_level(tmp_path):
    Image.new("F", (8, 8)).save(tmp_path / "a.tif")
    ((name, reason),) = check_headers(read_folder(tmp_path), 8, 8)
    assert name == "a.tif"
    assert reason.startswith("holds floating-point samples")


def test_describe_bad():
    bad = [(f"{n}.png", "is an empty file (0 bytes)") for n in range(5)]
    assert describe_bad(bad) == (
        "5 images cannot be used: 0.png, 1.png, 2.png and 2 more. 0.png is an empty "
        "file (0 bytes). Fix or align them, or leave them out with --on-bad-image skip"
    )
    assert "0.png, 1.png. 0.png is" in describe_bad(bad[:2])
    assert describe_bad(bad[:1]).startswith("0.png is an empty file (0 bytes). Fix it")
