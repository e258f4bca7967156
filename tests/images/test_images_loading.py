import contextlib
import functools
import os
import threading
import time
import tracemalloc
import warnings
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
    load_batches,
    loading,
    read_folder,
)
from prefiqs_jax.images.stores import files

load = functools.partial(load_batches, height=8, width=8)


def load_threads():
    return [t for t in threading.enumerate() if t.name.startswith("prefiqs-load")]


@pytest.fixture
def folder(tmp_path):
    """Give ten images, each filled with its number."""
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
    assert not load_threads()


def test_order_is_kept_when_decoding_times_differ(folder, monkeypatch):
    original = files.decode_file

    def slow(path, name, needed):
        time.sleep(0.02 * (10 - int(name[0])) / 10)
        return original(path, name, needed)

    monkeypatch.setattr(files, "decode_file", slow)
    loaded = list(load(folder, batch_size=3, workers=4))
    assert [n for batch in loaded for n in numbers(batch)] == list(range(10))


def test_resume_by_index(folder):
    whole = list(load(folder, batch_size=4))
    rest = list(load(folder, batch_size=4, batches=[1, 2]))
    assert [b.index for b in rest] == [1, 2]
    for a, b in zip(whole[1:], rest, strict=True):
        assert a.names == b.names
        np.testing.assert_array_equal(a.pixels, b.pixels)
    chosen = list(load(folder, batch_size=4, batches=[2, 0]))
    assert [numbers(b) for b in chosen] == [[8, 9], [0, 1, 2, 3]]
    assert list(load(folder, batch_size=4, batches=[])) == []
    assert batch_count(folder, 4) == 3
    assert batch_count(folder, 5) == 2


@pytest.mark.parametrize(
    "setting",
    [
        {"batch_size": 0},
        {"batch_size": 4, "workers": 0},
        {"batch_size": 4, "batches": [3]},
        {"batch_size": 4, "batches": [-1]},
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
    assert not load_threads()


def test_fail_raises_a_picture_damaged_below_its_header(folder):
    spoil(folder)
    batches = load(folder, batch_size=2, batches=[2, 3, 4])
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
    original = files.decode_file

    def counted(path, name, needed):
        done.append(name)
        return original(path, name, needed)

    monkeypatch.setattr(files, "decode_file", counted)
    batches = load(folder, batch_size=1)
    assert done == [], "nothing starts before the first batch is asked for"
    next(batches)
    time.sleep(0.1)
    assert sorted(done) == ["0.png", "1.png", "2.png"]
    batches.close()


def test_the_caller_opens_and_decodes_nothing(folder, monkeypatch):
    seen = set()
    original = files.decode_file

    def noted(*args):
        seen.add(threading.current_thread().name.partition("_")[0])
        return original(*args)

    monkeypatch.setattr(files, "decode_file", noted)

    def transform(pixels):
        seen.add(threading.current_thread().name.partition("_")[0])
        return pixels

    list(load(folder, batch_size=4, transform=transform))
    assert seen == {"prefiqs-load"}


def test_batches_ahead_are_made_while_the_caller_is_busy(folder):
    made = []

    def transform(pixels):
        made.append(int(pixels[0, 0, 0, 0]))
        return pixels

    batches = load(folder, batch_size=2, transform=transform)
    assert not made
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)  # the caller computes
    time.sleep(0.05)
    assert sorted(made) == [0, 2, 4]
    batches.close()


def test_a_transform_gets_the_pictures_that_stay(folder):
    spoil(folder)

    def transform(pixels):
        assert pixels.dtype == np.uint8
        return pixels[..., ::-1].astype(np.float32) / 255

    loaded = list(load(folder, batch_size=2, on_bad_image="skip", transform=transform))
    assert loaded[-1].images is None, "both images of this batch are bad"
    for batch in loaded[:-1]:
        assert batch.images is not None
        expected = (batch.pixels[..., ::-1] / 255).astype(np.float32)
        np.testing.assert_array_equal(batch.images, expected)
    assert all(batch.images is None for batch in load(folder, batch_size=9, batches=[]))


def test_an_error_of_the_transform_reaches_the_caller_at_its_batch(folder):
    def transform(pixels):
        if pixels[0, 0, 0, 0] == 4:
            raise ZeroDivisionError
        return pixels

    batches = load(folder, batch_size=2, transform=transform)
    assert [numbers(next(batches)) for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(ZeroDivisionError):
        next(batches)
    assert not load_threads()


def test_large_batches_are_read_one_ahead():
    def transform(pixels):
        return pixels

    ahead = loading._batches_ahead
    needed = loading.NeededSize(112, 112, "net")
    # A byte and a float32 for each value: 2 × 2,853 images fill 1 GiB.
    assert ahead(2853, needed, transform) == 2
    assert ahead(2854, needed, transform) == 1
    assert ahead(2854, needed, None) == 2


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    for number in range(60):
        Image.new("RGB", (112, 112), (number,) * 3).save(tmp_path / f"{number:02}.bmp")
    folder = read_folder(tmp_path)
    peaks = []
    for count in (6, 15):  # batches of four images
        tracemalloc.start()
        batches = load_batches(
            folder, height=112, width=112, batch_size=4, batches=range(count)
        )
        for _ in batches:
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    one_batch = 4 * 112 * 112 * 3
    assert peaks[1] - peaks[0] < one_batch
    # Handed over, two ahead, and what the workers have in hand.
    assert peaks[1] < 60 * 112 * 112 * 3 / 2


def test_metadata_warnings_of_pillow_stay_in_the_threads(folder):
    corrupt = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x09\0\0\0\xff\xff"
    Image.new("RGB", (8, 8)).save(folder.root / "0.png", "jpeg", exif=corrupt)
    with (
        pytest.warns(UserWarning, match="Corrupt EXIF"),
        Image.open(folder.root / "0.png") as image,
    ):
        image.getexif()
    for action in ("error", "always"):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter(action)
            loaded = list(load(folder, batch_size=5))
            assert len(loaded[0].names) == 5
            assert not seen
            # The warnings of everybody else are left alone.
            with pytest.warns(UserWarning, match="mine"):
                warnings.warn("mine", stacklevel=1)


def test_a_picture_of_very_many_pixels_is_refused_whatever_the_filters(
    folder, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BadImage, match=r"^0\.png is too large to be a face"):
            next(load(folder, batch_size=5))


def test_workers_default_to_the_usable_cores(folder, monkeypatch):
    assert 1 <= loading.usable_cores() <= (os.cpu_count() or 1)
    original = files.decode_file

    def slow(path, name, needed):
        time.sleep(0.01)
        return original(path, name, needed)

    monkeypatch.setattr(files, "decode_file", slow)
    for cores, threads in ((3, 3), (64, 4)):
        monkeypatch.setattr(loading, "usable_cores", lambda cores=cores: cores)
        with contextlib.closing(load(folder, batch_size=5)) as batches:
            next(batches)
            assert len(load_threads()) == threads


@pytest.mark.parametrize("how", ["close", "drop", "exception", "closing"])
def test_stopping_early_ends_the_threads(folder, monkeypatch, how):
    def slow(path, name, needed):
        time.sleep(0.05)
        return decode(folder.root / name)

    monkeypatch.setattr(files, "decode_file", slow)
    batches = load(folder, batch_size=3, workers=2)
    next(batches)
    assert load_threads()
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
    assert not load_threads()


def test_bugs_are_not_taken_for_bad_pictures(folder, monkeypatch):
    def broken(path, name, needed):
        raise ZeroDivisionError(name)

    monkeypatch.setattr(files, "decode_file", broken)
    with pytest.raises(ZeroDivisionError):
        next(load(folder, batch_size=3, on_bad_image="skip"))
    assert not load_threads()


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
