"""What OpenCV decodes has Pillow's pixels, bit by bit; the rest is left to Pillow."""

import io
import itertools
import random
import struct
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from prefiqs_jax.images import BadImage, decode
from prefiqs_jax.images.decode import decode_bytes
from prefiqs_jax.images.opening import NeededSize, quiet_pillow
from prefiqs_jax.images.plain import decode_plain, plain_header

DECODE = sys.modules[decode_bytes.__module__]  # whose face has a function called so
FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def face(height, width, seed=0, grey=False):
    """Render something as smooth as a face, with some noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 240, (2 + height // 8, 2 + width // 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(image) + rng.integers(0, 15, (height, width, 3), np.uint8) // 2
    return Image.fromarray(noisy.astype(np.uint8)).convert("L" if grey else "RGB")


def saved(image, form, **options):
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def by_pillow(data):
    """Decode by Pillow alone, as its documentation says."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def decoded(data):
    with quiet_pillow():
        return decode_bytes(data, "x")


SIZES = [(112, 112), (112, 96), (113, 111), (16, 33), (1, 1), (250, 187), (5, 64)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("grey", [False, True])
def test_plain_files_have_pillows_pixels(height, width, grey):
    image = face(height, width, grey=grey)
    files = [saved(image, "PNG"), saved(image, "PNG", compress_level=0)]
    for quality, progressive in itertools.product((20, 75, 95, 100), (False, True)):
        options = {"quality": quality, "progressive": progressive}
        if grey:
            files.append(saved(image, "JPEG", **options))
            continue
        for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1"):
            if min(height, width) < 16:
                continue  # Pillow's buffer is too small for its own header there
            files.append(saved(image, "JPEG", subsampling=subsampling, **options))
            restarts = {"restart_marker_blocks": 3}
            files.append(saved(image, "JPEG", **restarts, **options))
    for sampling in (0x411111, 0x420000 | 0x1111, 0x221111, 0x211111, 0x121111):
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        if sampling != 0x421111:
            files.append(cv2.imencode(".jpg", np.array(image), options)[1].tobytes())
    for data in files:
        found = plain_header(data)
        assert found == (width, height, 1 if grey else 3)
        pixels = decode_plain(data)
        np.testing.assert_array_equal(pixels, by_pillow(data))
        assert decoded(data).conversions == (("grey to RGB",) if grey else ())


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def with_chunk(png, kind, data):
    return png[:33] + chunk(kind, data) + png[33:]


def exif(turn):
    made = Image.Exif()
    made[0x0112] = turn
    return made


def odd_files():
    """Yield files that look plain, and are not."""
    image, grey = face(24, 40), face(24, 40, grey=True)
    png, jpeg = saved(image, "PNG"), saved(image, "JPEG", quality=90)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    alpha = image.copy()
    alpha.putalpha(grey)
    yield "CMYK", saved(image.convert("CMYK"), "JPEG")
    yield "RGB without transform", saved(image, "JPEG", keep_rgb=True)
    yield "Adobe marker", jpeg[:20] + b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\1" + jpeg[20:]
    yield "EXIF, upright", saved(image, "JPEG", exif=exif(1))
    yield "EXIF, turned", saved(image, "JPEG", exif=exif(6))
    yield "EXIF in a PNG", saved(image, "PNG", exif=exif(8))
    yield "profile", saved(image, "JPEG", icc_profile=profile)
    yield "profile in a PNG", saved(image, "PNG", icc_profile=profile)
    yield "several frames", saved(image, "MPO", save_all=True, append_images=[image])
    yield "palette", saved(image.quantize(9), "PNG")
    yield "alpha", saved(alpha, "PNG")
    yield "grey and alpha", saved(alpha.convert("LA"), "PNG")
    yield "transparent colour", saved(image, "PNG", transparency=(1, 2, 3))
    yield "transparent grey", saved(grey, "PNG", transparency=7)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 255)
    yield "16 bits", saved(deep, "PNG")
    yield "black and white", saved(grey.convert("1"), "PNG")
    yield "gamma", with_chunk(png, b"gAMA", struct.pack(">I", 100_000))
    yield "sRGB", with_chunk(png, b"sRGB", b"\0")
    yield "background", with_chunk(png, b"bKGD", b"\0\7\0\7\0\7")
    yield "animated", saved(image, "PNG", save_all=True, append_images=[grey])
    rows = np.asarray(image).reshape(24, -1)
    interlaced = struct.pack(">IIBBBBB", 40, 24, 8, 2, 0, 0, 1)
    passes = b"".join(_passes(np.asarray(image)))
    assert rows.size < len(passes)
    yield (
        "interlaced",
        png[:8]
        + chunk(b"IHDR", interlaced)
        + chunk(b"IDAT", zlib.compress(passes))
        + chunk(b"IEND", b""),
    )
    yield "bytes behind a PNG", png + b"x"
    yield "bytes behind a JPEG", jpeg + b"\0\0"
    yield "two JPEGs", jpeg + jpeg
    yield "WebP", saved(image, "WEBP", lossless=True)
    yield "BMP", saved(image, "BMP")


def _passes(pixels):
    """Give the rows of Adam7's seven passes, unfiltered."""
    for y, x, down, across in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ):
        for row in pixels[y::down, x::across]:
            yield b"\0" + row.tobytes()


ODD = dict(odd_files())


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_are_left_to_pillow(kind, monkeypatch):
    data = ODD[kind]
    assert plain_header(data) is None
    expected = decoded(data)
    monkeypatch.setattr(DECODE, "plain_header", lambda data: None)
    found = decoded(data)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.conversions == expected.conversions
    if kind not in ("EXIF, turned", "EXIF in a PNG", "16 bits"):
        with Image.open(io.BytesIO(data)) as image:
            image.info.pop("transparency", None)
            reference = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(found.pixels, reference)


def sources():
    for seed, (height, width) in enumerate([(112, 112), (33, 57), (112, 96)]):
        image = face(height, width, seed, grey=seed == 2)
        yield saved(image, "PNG")
        for options in ({"subsampling": 0}, {"quality": 90}, {"progressive": True}):
            yield saved(image, "JPEG", **options)
        yield saved(image, "JPEG", restart_marker_blocks=4)


SOURCES = list(sources())


def damaged(data, rng):
    """Cut, flip, remove, insert; with sums put right in half of the PNGs."""
    found = bytearray(data)
    place = rng.randrange(20, len(found))
    match rng.randrange(6):
        case 0:
            return bytes(found[:place])
        case 1:
            return bytes(found[:place]) + data[-12 if data[0] == 0x89 else -2 :]
        case 2:
            found[place] = rng.randrange(256)
        case 3:
            del found[place : place + rng.randrange(1, 99)]
        case 4:
            found[place:place] = rng.randbytes(rng.randrange(1, 30))
        case 5 if data[0] == 0x89:
            start = data.index(b"IDAT")
            length = int.from_bytes(data[start - 4 : start])
            body = bytearray(data[start + 4 : start + 4 + length])
            raw = bytearray(zlib.decompress(body))
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            body[rng.randrange(length)] ^= 1 << rng.randrange(8)
            content = rng.choice(
                [body, body[: rng.randrange(length)], zlib.compress(raw)]
            )
            head = data[: start - 4]
            return head + chunk(b"IDAT", bytes(content)) + chunk(b"IEND", b"")
        case _:
            for _ in range(4):
                found[rng.randrange(20, len(found))] = rng.randrange(256)
    return bytes(found)


def outcome(data):
    try:
        found = decoded(data)
    except BadImage as error:
        return str(error), None
    return found.conversions, found.pixels


def test_damaged_files_are_what_they_are_to_pillow(monkeypatch):
    """Nothing that Pillow refuses is decoded, and with its words it is refused."""
    rng = random.Random(0)
    files = [damaged(data, rng) for data in SOURCES for _ in range(60)]
    plain = sum(plain_header(data) is not None for data in files)
    found = [outcome(data) for data in files]
    monkeypatch.setattr(DECODE, "plain_header", lambda data: None)
    expected = [outcome(data) for data in files]
    for (words, pixels), (its_words, its_pixels) in zip(found, expected, strict=True):
        assert words == its_words
        np.testing.assert_array_equal(pixels, its_pixels)
    refused = sum(pixels is None for _, pixels in found)
    assert plain > 100  # so that OpenCV has seen damaged ones
    assert refused > 300


@pytest.mark.parametrize("data", SOURCES[:2], ids=["png", "jpeg"])
def test_truncated_files_are_refused_wherever_they_end(data, tmp_path):
    for length in range(1, len(data) - 40, 97):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        assert plain_header(data[:length]) is None
        with pytest.raises(BadImage):
            decode(path)


def test_plain_files_go_to_opencv_and_keep_their_checks(monkeypatch):
    seen = []
    original = cv2.imdecode

    def noted(*given):
        seen.append(given[1])
        return original(*given)

    monkeypatch.setattr(cv2, "imdecode", noted)
    png = SOURCES[0]
    needed = NeededSize(112, 96, "narrow")
    cut = decode_bytes(png, "x", needed)
    assert seen == [FLAGS]
    np.testing.assert_array_equal(cut.pixels, by_pillow(png)[:, 8:-8])
    assert cut.conversions == ("cut to the 96 wide template",)
    with pytest.raises(BadImage, match="x is 112×112 pixels, but arcface needs 64×64"):
        decode_bytes(png, "x", NeededSize(64, 64, "arcface"))
    assert decoded(SOURCES[1]).pixels.flags.writeable


def test_huge_plain_files_are_still_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    for data in SOURCES[:2]:
        assert plain_header(data) is None
        with pytest.raises(BadImage, match="too large to be a face image"):
            decoded(data)


def test_opencv_starts_no_threads_to_decode():
    """So the loader's own threads are all there are."""

    def threads():
        tasks = Path("/proc/self/task")
        return len(list(tasks.iterdir())) if tasks.exists() else 0

    large = [saved(face(900, 1200), form) for form in ("PNG", "JPEG")]
    before = threads()
    most = []
    workers = [
        threading.Thread(
            target=lambda: (decode_plain(large[0]), decode_plain(large[1]))
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        most.append(threads())
    assert max(most) <= before + len(workers)


def test_real_faces(shared):
    paths = [
        path
        for part in ("faces/lfw100", "faces/att")
        for path in sorted(shared(part).rglob("*.png"))
    ]
    plain = 0
    for path in paths:
        data = path.read_bytes()
        plain += plain_header(data) is not None
        np.testing.assert_array_equal(decode(path).pixels, by_pillow(data))
    assert plain > 0.9 * len(paths)
