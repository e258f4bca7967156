import contextlib
import functools
import threading
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    BadImage,
    batch_count,
    check_headers,
    decode,
    describe_bad,
    load_batches,
    loading,
    read_folder,
)

load = functools.partial(load_batches, height=8, width=8)


def decode_threads():
    return [t for t in threading.enumerate() if t.name.startswith("prefiqs-decode")]


@pytest.fixture
def folder(tmp_path):
    """Give ten pictures, each filled with its number."""
    for number in range(10):
        Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number}.png,p{number % 3}\n" for number in range(10))
    (tmp_path / "images.csv").write_text("file,identity\n" + rows)
    return read_folder(tmp_path)


def numbers(batch):
    return batch.pixels[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_a_fixed_partition_in_order(folder, workers):
    loaded = list(load(folder, batch_size=4, workers=workers))
    assert [batch.index for batch in loaded] == [0, 1, 2]
    assert [numbers(batch) for batch in loaded] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert loaded[1].names == ("4.png", "5.png", "6.png", "7.png")
    assert loaded[1].identities == ("p1", "p2", "p0", "p1")
    assert loaded[1].pixels.shape == (4, 8, 8, 3)
    assert loaded[1].pixels.dtype == np.uint8
    assert loaded[1].skipped == ()
    assert loaded[1].conversions == {}
    assert not decode_threads()


def test_order_is_kept_when_decoding_times_differ(folder, monkeypatch):
    original = loading.to_rgb

    def slow(prepared):
        time.sleep(0.02 * (10 - int(prepared.name[0])) / 10)
        return original(prepared)

    monkeypatch.setattr(loading, "to_rgb", slow)
    loaded = list(load(folder, batch_size=3, workers=4))
    assert [n for batch in loaded for n in numbers(batch)] == list(range(10))


def test_resume_by_index(folder):
    whole = list(load(folder, batch_size=4))
    rest = list(load(folder, batch_size=4, first_batch=1))
    assert [b.index for b in rest] == [1, 2]
    for a, b in zip(whole[1:], rest, strict=True):
        assert a.names == b.names
        np.testing.assert_array_equal(a.pixels, b.pixels)
    chosen = list(load(folder, batch_size=4, batches=[2, 0]))
    assert [numbers(b) for b in chosen] == [[8, 9], [0, 1, 2, 3]]
    assert list(load(folder, batch_size=4, first_batch=3)) == []
    assert batch_count(folder, 4) == 3
    assert batch_count(folder, 5) == 2


@pytest.mark.parametrize(
    "setting",
    [
        {"batch_size": 0},
        {"batch_size": 4, "workers": 0},
        {"batch_size": 4, "first_batch": 4},
        {"batch_size": 4, "first_batch": -1},
        {"batch_size": 4, "batches": [3]},
        {"batch_size": 4, "batches": [0], "first_batch": 1},
        {"batch_size": 4, "on_bad_image": "ignore"},
    ],
)
def test_bad_settings_are_refused_before_the_first_batch(
    folder, setting: dict[str, Any]
):
    with pytest.raises(InputError) as excinfo:
        load(folder, **setting)
    assert len(str(excinfo.value).splitlines()) == 1


def spoil(folder):
    """Make 2 the wrong size, 5 truncated, 8 and 9 empty."""
    Image.new("RGB", (6, 4)).save(folder.root / "2.png")
    data = (folder.root / "5.png").read_bytes()
    (folder.root / "5.png").write_bytes(data[:-24])
    (folder.root / "8.png").write_bytes(b"")
    (folder.root / "9.png").write_bytes(b"")


def test_fail_raises_the_first_bad_picture_in_order(folder):
    spoil(folder)
    batches = load(folder, batch_size=2, needed_by="tiny_net")
    assert numbers(next(batches)) == [0, 1]
    with pytest.raises(BadImage) as excinfo:
        next(batches)
    assert str(excinfo.value) == (
        "2.png is 6×4 pixels, but tiny_net needs 8×8 (width×height); align it first"
    )
    assert not decode_threads()


def test_fail_raises_a_picture_damaged_below_its_header(folder):
    spoil(folder)
    batches = load(folder, batch_size=2, first_batch=2)
    with pytest.raises(BadImage, match=r"^5\.png is damaged: .*truncated"):
        next(batches)


def test_skip_reports_and_goes_on(folder):
    spoil(folder)
    loaded = list(load(folder, batch_size=2, on_bad_image="skip"))
    assert [numbers(b) for b in loaded] == [[0, 1], [3], [4], [6, 7], []]
    assert loaded[1].identities == ("p0",)
    assert loaded[4].pixels.shape == (0, 8, 8, 3)
    assert loaded[4].names == ()
    skipped = [name for b in loaded for name, _ in b.skipped]
    assert skipped == ["2.png", "5.png", "8.png", "9.png"]
    assert loaded[4].skipped[0] == ("8.png", "is an empty file (0 bytes)")


def test_conversions_name_the_pictures(folder):
    for number in (1, 3):
        Image.new("L", (8, 8), number).save(folder.root / f"{number}.png")
    (batch,) = load(folder, batch_size=10)
    assert batch.conversions == {"grey to RGB": ("1.png", "3.png")}


@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
def test_size_counts_once_upright(tmp_path, extension):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / f"a.{extension}", exif=turned)
    folder = read_folder(tmp_path)
    assert check_headers(folder, 8, 4) == []
    ((_, reason),) = check_headers(folder, 4, 8, "net")
    assert reason.startswith("is 4×8 pixels, but net needs 8×4")
    (batch,) = load_batches(folder, height=8, width=4, batch_size=1)
    assert batch.pixels.shape == (1, 8, 4, 3)


def test_at_most_two_batches_are_decoded_ahead(folder, monkeypatch):
    done = []
    original = loading.to_rgb

    def counted(prepared):
        done.append(prepared.name)
        return original(prepared)

    monkeypatch.setattr(loading, "to_rgb", counted)
    batches = load(folder, batch_size=1)
    assert done == [], "nothing starts before the first batch is asked for"
    next(batches)
    time.sleep(0.1)
    assert sorted(done) == ["0.png", "1.png", "2.png"]
    batches.close()


@pytest.mark.parametrize("how", ["close", "drop", "exception", "closing"])
def test_stopping_early_ends_the_threads(folder, monkeypatch, how):
    def slow(prepared):
        time.sleep(0.05)
        return decode(folder.root / prepared.name)

    monkeypatch.setattr(loading, "to_rgb", slow)
    batches = load(folder, batch_size=3, workers=2)
    next(batches)
    assert decode_threads()
    start = time.perf_counter()
    if how == "close":
        batches.close()
    elif how == "drop":
        del batches
    elif how == "exception":
        with pytest.raises(KeyboardInterrupt):
            batches.throw(KeyboardInterrupt)
    else:
        with pytest.raises(ZeroDivisionError), contextlib.closing(batches):
            raise ZeroDivisionError
    assert time.perf_counter() - start < 1
    assert not decode_threads()


def test_bugs_are_not_taken_for_bad_pictures(folder, monkeypatch):
    def broken(prepared):
        raise ZeroDivisionError(prepared.name)

    monkeypatch.setattr(loading, "to_rgb", broken)
    with pytest.raises(ZeroDivisionError):
        next(load(folder, batch_size=3, on_bad_image="skip"))
    assert not decode_threads()


def test_check_headers_returns_every_bad_picture(folder):
    assert check_headers(folder, 8, 8) == []
    spoil(folder)
    bad = check_headers(folder, 8, 8, "tiny_net")
    assert bad == [
        (
            "2.png",
            "is 6×4 pixels, but tiny_net needs 8×8 (width×height); align it first",
        ),
        ("8.png", "is an empty file (0 bytes)"),
        ("9.png", "is an empty file (0 bytes)"),
    ]
    assert len(check_headers(folder, 9, 8)) == 10


def test_check_headers_finds_samples_without_a_white_level(tmp_path):
    Image.new("F", (8, 8)).save(tmp_path / "a.tif")
    ((name, reason),) = check_headers(read_folder(tmp_path), 8, 8)
    assert name == "a.tif"
    assert reason.startswith("holds floating-point samples")


def test_describe_bad():
    bad = [(f"{n}.png", "is an empty file (0 bytes)") for n in range(5)]
    assert describe_bad(bad) == (
        "5 pictures cannot be used: 0.png, 1.png, 2.png and 2 more. 0.png is an empty "
        "file (0 bytes). Fix or align them, or leave them out with --on-bad-image skip"
    )
    assert "0.png, 1.png. 0.png is" in describe_bad(bad[:2])
    assert describe_bad(bad[:1]).startswith("0.png is an empty file (0 bytes). Fix it")


def test_real_faces(shared):
    folder = read_folder(shared("faces/lfw100"))
    assert check_headers(folder, 112, 112) == []
    loaded = list(load_batches(folder, height=112, width=112, batch_size=32))
    assert [len(batch.names) for batch in loaded] == [32, 32, 32, 4]
    assert [n for batch in loaded for n in batch.names] == list(folder.names)
    assert all(batch.conversions == {} for batch in loaded)
    last = decode(folder.root / folder.names[-1])
    np.testing.assert_array_equal(loaded[-1].pixels[-1], last.pixels)


def test_real_grey_faces(shared):
    folder = read_folder(shared("faces/att"))
    batch = next(load_batches(folder, height=112, width=112, batch_size=8))
    assert batch.conversions == {"grey to RGB": batch.names}
    assert folder.identity_count == 38
