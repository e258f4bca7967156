"""Decode one image to 8-bit RGB, naming every conversion on the way; and encode."""

import dataclasses
import io
import os

import numpy as np
from PIL import Image, ImageFile

from prefiqs_jax.images.opening import (
    BadImage,
    NeededSize,
    check_size,
    open_header,
    orientation,
    pillow_errors,
    quiet_pillow,
    regular_file,
    upright_size,
)
from prefiqs_jax.images.plain import decode_plain, decode_samples, plain_header

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TO_RGB = {
    "1": ("grey to RGB",),
    "L": ("grey to RGB",),
    "LA": ("grey to RGB",),
    "P": ("palette to RGB",),
    "PA": ("alpha dropped", "palette to RGB"),
    "RGB": (),
    "RGBA": (),
    "RGBX": (),
    "CMYK": ("CMYK to RGB",),
    "YCbCr": ("YCbCr to RGB",),
}

# Of these 16-bit samples Pillow keeps only the high bytes, OpenCV all.
_PNG_16_BIT = ("RGB;16B", "RGBA;16B", "LA;16B")


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels of one image and what was changed to get them."""

    pixels: np.ndarray
    """Shape (height, width, 3), uint8, RGB."""
    conversions: tuple[str, ...]
    """Such as ``"grey to RGB"``; empty for plain 8-bit RGB."""


def decode(path: str | os.PathLike[str]) -> Decoded:
    """Decode an image to 8-bit RGB, upright.

    Grey is repeated to three channels; 16 bits become 8 as round(x / 257); alpha is
    dropped, not blended; palette, CMYK and YCbCr become RGB; the EXIF orientation is
    applied; of several frames the first counts. Colour profiles are ignored.

    Parameters
    ----------
    path
        A PNG, JPEG, BMP, WebP, TIFF, PPM or PGM file, whatever its extension.

    Returns
    -------
    Decoded
        ``pixels``, shape (height, width, 3), uint8, RGB; and ``conversions``.

    Raises
    ------
    BadImage
        If the file is unreadable, empty, truncated, no image or suspiciously large,
        or holds floating-point or 32-bit samples, whose white level is undefined.
    """
    with quiet_pillow():
        return decode_file(path, os.fspath(path))


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode an image as PNG, without loss.

    Parameters
    ----------
    pixels
        Shape (height, width, 3), uint8, RGB.

    Returns
    -------
    bytes
        Content of the file; the same image gives the same bytes.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def decode_file(
    path: str | os.PathLike[str], name: str, needed: NeededSize | None = None
) -> Decoded:
    """Decode a file, of the needed size if one is given.

    Runs inside `quiet_pillow`, or in a thread after `silence_pillow`.
    """
    with regular_file(path, name, buffered=False) as file:
        data = file.read()
    return decode_bytes(data, name, needed)


def decode_bytes(data: bytes, name: str, needed: NeededSize | None = None) -> Decoded:
    """Do what `decode_file` does, for the content of a file."""
    found = plain_header(data)
    if found is None:
        return _by_pillow(data, name, needed)
    margin = check_size(name, found[:2], needed) if needed else 0
    pixels = decode_plain(data)
    if pixels is None:
        # Pillow says what is wrong, or decodes what it takes for harmless.
        return _by_pillow(data, name, needed)
    return _cut(Decoded(pixels, _TO_RGB["L"] if found.channels == 1 else ()), margin)


def _by_pillow(data: bytes, name: str, needed: NeededSize | None) -> Decoded:
    image = open_header(io.BytesIO(data), name)
    with pillow_errors(name):
        several_frames = getattr(image, "is_animated", False)
        raw_mode = image.tile[0].args if image.format == "PNG" and image.tile else ""
        all_bytes = raw_mode in _PNG_16_BIT
        sixteen_bits = all_bytes or _has_16_bits(image)
        # EXIF data behind the pixels of a PNG is parsed while these are decoded.
        if image.format == "PNG" and b"eXIf" in data and "exif" not in image.info:
            image.load()
        margin = check_size(name, upright_size(image), needed) if needed else 0
        turn = orientation(image)
        image.load()
    conversions = []
    if several_frames:
        conversions.append("first of several frames")
    if sixteen_bits:
        conversions.append("16 bits to 8")
    if image.mode in ("LA", "RGBA") or "transparency" in image.info:
        conversions.append("alpha dropped")
        # Else Pillow would warn about it, or keep the alpha of a palette.
        image.info.pop("transparency", None)
    if all_bytes:
        conversions += ["grey to RGB"] if raw_mode == "LA;16B" else []
        upright = Image.fromarray(_to_8_bits(decode_samples(data, name)))
    else:
        upright = _eight_bits(image, name, conversions)
    return _cut(_upright(image, upright, turn, conversions), margin)


def _eight_bits(image: Image.Image, name: str, conversions: list[str]) -> Image.Image:
    """Give an image whose pixels Pillow can turn to RGB, and note what that takes."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        conversions.append("grey to RGB")
        return Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.mode in _TO_RGB:
        conversions += _TO_RGB[image.mode]
        return image
    reason = f"has the colour mode {image.mode}, not supported; save it as RGB"
    raise BadImage(name, reason)


def _upright(
    image: Image.Image, upright: Image.Image, turn: int, conversions: list[str]
) -> Decoded:
    if turn != 1:
        conversions.append("EXIF orientation applied")
        # Pillow turns a TIFF while decoding it.
        if image.format != "TIFF":
            upright = upright.transpose(_TURNS[turn])
    # Converting RGB to RGB would copy it.
    pixels = np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))
    return Decoded(pixels, tuple(conversions))


def from_pillow(image: Image.Image, name: str) -> Decoded:
    """Turn a PIL image into 8-bit RGB, upright, as :func:`decode` does a file.

    Parameters
    ----------
    image
        Left as it is. Of channels of 16 bits Pillow has kept the high bytes.
    name
        For messages.

    Raises
    ------
    BadImage
        If it is damaged, or holds floating-point or 32-bit samples.
    """
    with quiet_pillow(), pillow_errors(name):
        image.load()
        turn = orientation(image)
    conversions: list[str] = []
    if image.mode.startswith("I;16"):
        conversions.append("16 bits to 8")
    if image.mode in ("LA", "RGBA") or "transparency" in image.info:
        conversions.append("alpha dropped")
        image = image.copy()
        image.info.pop("transparency", None)
    if image.mode == "I":
        reason = "holds 32-bit samples, whose white level is undefined; save it as RGB"
        raise BadImage(name, reason)
    return _upright(image, _eight_bits(image, name, conversions), turn, conversions)


def fit(decoded: Decoded, name: str, needed: NeededSize | None) -> Decoded:
    """Cut pixels that were made after decoding to the needed size, None taking any.

    Raises BadImage where they are of another one.
    """
    if needed is None:
        return decoded
    height, width = decoded.pixels.shape[:2]
    return _cut(decoded, check_size(name, (width, height), needed))


def _cut(decoded: Decoded, margin: int) -> Decoded:
    if not margin:
        return decoded
    conversions = (*decoded.conversions, "cut to the 96 wide template")
    return Decoded(decoded.pixels[:, margin:-margin], conversions)


def _has_16_bits(image: ImageFile.ImageFile) -> bool:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return True
    # Pillow reduces a PPM itself, rounding to the nearest: only the record is ours.
    if image.format != "PPM" or not image.tile:
        return False
    args = image.tile[0].args
    return isinstance(args, tuple) and isinstance(args[-1], int) and args[-1] > 255


def _to_8_bits(samples: np.ndarray) -> np.ndarray:
    # round(x / 257), without a half to argue about: 257 is odd.
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
