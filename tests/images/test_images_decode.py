import contextlib
import gc
import itertools
import os
import pickle
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import BadImage, decode

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = RGB[..., 0]
DEEP = RNG.integers(0, 65536, (6, 8, 4), dtype=np.uint16)
DEEP[0, :, :] = np.array([0, 128, 129, 385, 386, 32768, 65406, 65407])[:, None]


def chunk(kind, data):
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def png(width, height, depth, colour, data=b"", before=b"", after=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            before,
            chunk(b"IDAT", zlib.compress(data)),
            after,
            chunk(b"IEND", b""),
        ]
    )


def sixteen_bit_png(samples, colour, filtered):
    """Write rows with filter 0, or 1 (difference to the pixel before)."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    if filtered:
        rows = np.diff(rows.reshape(height, width, -1), axis=1, prepend=np.uint8(0))
        rows = rows.reshape(height, -1)
    data = b"".join(bytes([filtered]) + row.tobytes() for row in rows)
    assert channels == {2: 3, 4: 2, 6: 4}[colour]
    return png(width, height, 16, colour, data)


def to_8_bits(samples):
    return np.array([round(int(x) / 257) for x in samples.ravel()]).reshape(
        samples.shape
    )


def exif(orientation):
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def grey3(array):
    return np.repeat(array[..., None], 3, axis=-1)


def test_plain_rgb_is_untouched(tmp_path):
    for extension in ("png", "bmp", "ppm", "tif", "webp"):
        path = tmp_path / f"a.{extension}"
        Image.fromarray(RGB).save(path, lossless=True)
        decoded = decode(path)
        np.testing.assert_array_equal(decoded.pixels, RGB)
        assert decoded.pixels.dtype == np.uint8
        assert decoded.pixels.flags.writeable
        assert decoded.conversions == ()


@pytest.mark.parametrize("extension", ["png", "bmp", "pgm", "tif", "webp", "jpg"])
def test_grey(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(GREY).save(path)
    decoded = decode(path)
    if extension not in ("webp", "jpg"):
        np.testing.assert_array_equal(decoded.pixels, grey3(GREY))
    # WebP has no grey.
    assert decoded.conversions == (() if extension == "webp" else ("grey to RGB",))


def test_black_and_white(tmp_path):
    Image.fromarray(GREY).convert("1").save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png")
    assert decoded.conversions == ("grey to RGB",)
    assert set(np.unique(decoded.pixels)) == {0, 255}


def test_alpha_is_dropped_not_blended(tmp_path):
    alpha = np.zeros_like(GREY)
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "rgba.png")
    layers = [Image.fromarray(GREY), Image.fromarray(alpha)]
    Image.merge("LA", layers).save(tmp_path / "la.png")
    rgba, la = decode(tmp_path / "rgba.png"), decode(tmp_path / "la.png")
    np.testing.assert_array_equal(rgba.pixels, RGB)
    assert rgba.conversions == ("alpha dropped",)
    np.testing.assert_array_equal(la.pixels, grey3(GREY))
    assert la.conversions == ("alpha dropped", "grey to RGB")


def test_palettes(tmp_path):
    image = Image.fromarray(GREY).convert("P")
    image.putpalette(bytes(v for i in range(256) for v in (i, 255 - i, 7)))
    expected = np.dstack([GREY, 255 - GREY, np.full_like(GREY, 7)])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "one.png", transparency=int(GREY[0, 0]))
    image.save(tmp_path / "many.png", transparency=bytes(range(256)))
    for name in ("plain", "one", "many"):
        decoded = decode(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(decoded.pixels, expected)
        dropped = () if name == "plain" else ("alpha dropped",)
        assert decoded.conversions == (*dropped, "palette to RGB")


def test_transparent_colour_of_grey_and_rgb(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "l.png", transparency=int(GREY[0, 0]))
    Image.fromarray(RGB).save(
        tmp_path / "rgb.png", transparency=tuple(map(int, RGB[0, 0]))
    )
    grey, rgb = decode(tmp_path / "l.png"), decode(tmp_path / "rgb.png")
    np.testing.assert_array_equal(grey.pixels, grey3(GREY))
    assert grey.conversions == ("alpha dropped", "grey to RGB")
    np.testing.assert_array_equal(rgb.pixels, RGB)
    assert rgb.conversions == ("alpha dropped",)


def test_cmyk_and_ycbcr(tmp_path):
    flat = Image.new("RGB", (16, 16), (200, 100, 50))
    flat.convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    flat.convert("CMYK").save(tmp_path / "b.tif")
    # Pillow 11.0 cannot read the uncompressed YCbCr that it writes; from compressed
    # YCbCr, as in a JPEG, the decoder makes RGB.
    flat.convert("YCbCr").save(tmp_path / "c.tif", compression="tiff_lzw")
    for name, conversions in (
        ("a.jpg", ("CMYK to RGB",)),
        ("b.tif", ("CMYK to RGB",)),
        ("c.tif", ()),
    ):
        decoded = decode(tmp_path / name)
        assert decoded.conversions == conversions
        assert np.abs(decoded.pixels.astype(int) - [200, 100, 50]).max() <= 3


@pytest.mark.parametrize("name", ["a.png", "a.tif", "big_endian.tif", "a.pgm"])
def test_sixteen_bit_grey(tmp_path, name):
    samples, path = DEEP[..., 0], tmp_path / name
    if name == "a.pgm":
        path.write_bytes(b"P5\n8 6\n65535\n" + samples.astype(">u2").tobytes())
    elif name == "big_endian.tif":
        Image.frombytes("I;16B", (8, 6), samples.astype(">u2").tobytes()).save(path)
    else:
        image = Image.fromarray(samples)
        assert image.mode == "I;16"
        image.save(path)
    decoded = decode(path)
    np.testing.assert_array_equal(decoded.pixels, grey3(to_8_bits(samples)))
    assert decoded.conversions == ("16 bits to 8", "grey to RGB")


@pytest.mark.parametrize("filtered", [0, 1])
@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_channels_are_rounded_not_cut(tmp_path, colour, channels, filtered):
    path = tmp_path / "a.png"
    path.write_bytes(sixteen_bit_png(DEEP[..., :channels], colour, filtered))
    decoded = decode(path)
    kept = DEEP[..., :1] if channels == 2 else DEEP[..., :3]
    expected = np.broadcast_to(to_8_bits(kept), decoded.pixels.shape)
    np.testing.assert_array_equal(decoded.pixels, expected)
    dropped = ("alpha dropped",) if channels != 3 else ()
    grey = ("grey to RGB",) if channels == 2 else ()
    assert decoded.conversions == ("16 bits to 8", *dropped, *grey)
    with Image.open(path) as image:
        cut = np.asarray(image.convert("RGB"))
    assert (cut != decoded.pixels).any(), "Pillow alone would have cut the low byte"


def test_sixteen_bit_ppm(tmp_path):
    samples = DEEP[..., :3]
    (tmp_path / "a.ppm").write_bytes(
        b"P6\n8 6\n65535\n" + samples.astype(">u2").tobytes()
    )
    decoded = decode(tmp_path / "a.ppm")
    np.testing.assert_array_equal(decoded.pixels, to_8_bits(samples))
    assert decoded.conversions == ("16 bits to 8",)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_without_a_white_level_are_refused(tmp_path, mode):
    Image.fromarray(GREY).convert(mode).save(tmp_path / "a.tif")
    with pytest.raises(
        BadImage, match=r"a\.tif holds .* whose white level is undefined"
    ):
        decode(tmp_path / "a.tif")


def test_other_colour_modes_are_refused(tmp_path):
    Image.new("LAB", (8, 6)).save(tmp_path / "a.tif")
    with pytest.raises(BadImage, match="colour mode LAB, not supported"):
        decode(tmp_path / "a.tif")


def test_sixteen_bit_tiff_of_other_kinds_is_refused(tmp_path):
    tags = [(256, 1), (257, 1), (258, 16), (259, 1), (262, 0), (273, 122), (277, 1)]
    tags += [(278, 1), (279, 2)]
    entries = b"".join(
        struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags
    )
    head = b"II" + struct.pack("<HIH", 42, 8, len(tags))
    path = tmp_path / "white_is_zero.tif"
    path.write_bytes(head + entries + b"\0" * 4 + b"\x34\x12")
    with pytest.raises(BadImage, match="16-bit TIFF of a kind not supported"):
        decode(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_exif_orientation(tmp_path, extension, orientation):
    # Quadrants survive lossy compression.
    square = np.zeros((32, 48, 3), np.uint8)
    square[:16, :24], square[:16, 24:], square[16:, :24] = 250, 170, 90
    path = tmp_path / f"a.{extension}"
    Image.fromarray(square).save(path, exif=exif(orientation))
    decoded = decode(path)
    flip = {
        1: square,
        2: square[:, ::-1],
        3: square[::-1, ::-1],
        4: square[::-1],
        5: square.swapaxes(0, 1),
        6: np.rot90(square, -1),
        7: np.rot90(square, 2).swapaxes(0, 1),
        8: np.rot90(square),
    }
    assert decoded.pixels.shape == flip[orientation].shape
    assert np.abs(decoded.pixels.astype(int) - flip[orientation]).max() < 30
    applied = () if orientation == 1 else ("EXIF orientation applied",)
    assert decoded.conversions == applied


def test_exif_behind_the_pixels_of_a_png(tmp_path):
    late = chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0"))
    rows = b"".join(b"\0" + row.tobytes() for row in RGB)
    (tmp_path / "a.png").write_bytes(png(8, 6, 8, 2, rows, after=late))
    decoded = decode(tmp_path / "a.png")
    np.testing.assert_array_equal(decoded.pixels, np.rot90(RGB, -1))
    deep = sixteen_bit_png(DEEP[..., :3], 2, 0).replace(
        chunk(b"IEND", b""), late + chunk(b"IEND", b"")
    )
    (tmp_path / "b.png").write_bytes(deep)
    decoded = decode(tmp_path / "b.png")
    np.testing.assert_array_equal(
        decoded.pixels, np.rot90(to_8_bits(DEEP[..., :3]), -1)
    )
    assert decoded.conversions == ("16 bits to 8", "EXIF orientation applied")


@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_first_of_several_frames(tmp_path, extension):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    path = tmp_path / f"a.{extension}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    decoded = decode(path)
    np.testing.assert_array_equal(decoded.pixels, RGB)
    assert "first of several frames" in decoded.conversions


def make_bad(folder):
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for extension in ("jpg", "png", "webp", "tif", "bmp", "ppm"):
        path = folder / f"cut.{extension}"
        noise.save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("a face, I promise\n" * 9)
    (folder / "head.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "bomb.png").write_bytes(png(100_000, 100_000, 8, 2))
    (folder / "warned_bomb.png").write_bytes(png(10_000, 10_000, 8, 2))
    (folder / "folder.png").mkdir()
    (folder / "broken_link.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    good = png(8, 6, 8, 2, b"".join(b"\0" + row.tobytes() for row in RGB))
    (folder / "crc.png").write_bytes(good[:40] + b"\xff\xff" + good[42:])
    return sorted(folder.iterdir())


@pytest.mark.parametrize("action", ["error", "default"])
def test_bad_files_are_refused_in_one_line_and_without_warnings(tmp_path, action):
    paths = make_bad(tmp_path)
    assert len(paths) == 15
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter(action)
        for path in paths:
            with pytest.raises(BadImage) as excinfo:
                decode(path)
            message = str(excinfo.value)
            assert message.startswith(f"{path} ")
            assert len(message.splitlines()) == 1
            assert "0x" not in message
        gc.collect()
    assert not seen


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.png", r"is an empty file \(0 bytes\)"),
        ("text.png", "is not an image"),
        ("cut.jpg", "is damaged: .*truncated"),
        ("cut.png", "is damaged: .*truncated"),
        ("bomb.png", "is too large to be a face image"),
        ("warned_bomb.png", "is too large to be a face image"),
        ("pipe.png", "is not a file"),
        ("broken_link.png", "cannot be read: No such file"),
    ],
)
def test_reasons(tmp_path, name, reason):
    make_bad(tmp_path)
    with pytest.raises(BadImage, match=reason) as excinfo:
        decode(tmp_path / name)
    assert isinstance(excinfo.value, InputError)
    assert str(pickle.loads(pickle.dumps(excinfo.value))) == str(excinfo.value)


def test_metadata_warnings_do_not_escape(tmp_path):
    corrupt = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x09\0\0\0\xff\xff"
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=corrupt)
    late = chunk(b"eXIf", corrupt.removeprefix(b"Exif\0\0"))
    rows = b"".join(b"\0" + row.tobytes() for row in RGB)
    (tmp_path / "a.png").write_bytes(png(8, 6, 8, 2, rows, after=late))
    bad_apng = png(8, 6, 8, 2, rows, before=chunk(b"acTL", b"\0" * 8))
    (tmp_path / "b.png").write_bytes(bad_apng)
    for name in ("a.jpg", "a.png", "b.png"):
        assert decode(tmp_path / name).pixels.shape == (6, 8, 3)


def test_random_damage_only_ever_gives_bad_image(tmp_path):
    path = tmp_path / "a"
    for extension, seed in itertools.product(
        ("png", "jpeg", "webp", "tiff"), range(60)
    ):
        rng = np.random.default_rng(seed)
        Image.fromarray(RGB).save(path, format=extension, exif=exif(6))
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        places = rng.integers(0, data.size, 4)
        data[places] = rng.integers(0, 256, 4)
        path.write_bytes(data.tobytes())
        with contextlib.suppress(BadImage):
            assert decode(path).pixels.shape[2] == 3
