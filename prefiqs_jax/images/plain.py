"""Decode plain JPEG and PNG files by OpenCV, which is faster than Pillow.

Faces of 112×112 load at 1.8 times the rate from JPEG files, at 1.25 times from PNG.
Plain is what faces are nearly always saved as: 8-bit grey or RGB, PNG without anything
else in it, JPEG in baseline or progressive coding without EXIF data. Of these, OpenCV
gives Pillow's pixels bit by bit (``tests/images/test_images_plain.py``); all else,
and everything that is not whole, is left to :mod:`prefiqs_jax.images.decode`.
"""

import itertools
import re
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from prefiqs_jax.images.geometry.opencv import opencv
from prefiqs_jax.images.opening import BadImage

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {0: 1, 2: 3}
# Chunks that change no pixel, and that neither decoder reads before the pixels.
_PNG_CHUNKS = frozenset((b"IDAT", b"IEND", b"tEXt", b"tIME", b"pHYs"))
_JFIF = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
_BASELINE, _PROGRESSIVE, _SCAN = 0xC0, 0xC2, 0xDA
# Tables of Huffman codes and quantisation, restart interval, comment.
_JPEG_TABLES = frozenset((0xC4, 0xDB, 0xDD, 0xFE))
_LUMA = frozenset(h << 4 | v for h, v in itertools.product((1, 2, 4), (1, 2)))
_CHROMA = 0x11
# In a scan, behind 0xFF: neither a byte of data nor a restart nor a filling byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class Plain(NamedTuple):
    """What the header of a plain file says."""

    width: int
    height: int
    channels: int
    """1 (grey) or 3 (RGB)."""


def plain_header(data: bytes) -> Plain | None:
    """Read the header of a file's content; None if it is not plain, or not whole.

    >>> plain_header(b"GIF89a") is None
    True
    """
    found = _png(data) if data.startswith(_PNG) else _jpeg(data)
    if found is None or not found.width or not found.height:
        return None
    limit = Image.MAX_IMAGE_PIXELS
    return None if limit and found.width * found.height > limit else found


def decode_plain(data: bytes) -> np.ndarray | None:
    """Decode what :func:`plain_header` knows to (height, width, 3), uint8, RGB.

    None if OpenCV finds it damaged.
    """
    cv2 = opencv()
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def decode_samples(data: bytes, name: str) -> np.ndarray:
    """Decode a PNG to samples as they are, (height, width, 3), RGB without alpha."""
    cv2 = opencv()
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise BadImage(name, "is damaged: OpenCV cannot decode it")
    return found[..., 2::-1]


def _png(data: bytes) -> Plain | None:
    """Walk over the chunks, whose sums must be right: a damaged one is Pillow's."""
    if len(data) < 33 or data[8:16] != b"\x00\x00\x00\rIHDR":
        return None
    width, height, depth, colour, *ways = struct.unpack(">IIBBBBB", data[16:29])
    if depth != 8 or colour not in _PNG_COLOURS or any(ways):
        return None
    place, kind = 8, b"IHDR"
    while kind != b"IEND":
        if place + 12 > len(data):
            return None
        length = int.from_bytes(data[place : place + 4])
        kind, end = data[place + 4 : place + 8], place + 8 + length
        if place > 8 and kind not in _PNG_CHUNKS:
            return None
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return None
        place = end + 4
    return Plain(width, height, _PNG_COLOURS[colour]) if place == len(data) else None


def _jpeg(data: bytes) -> Plain | None:
    """Walk over the segments and scans; the file must end with the first EOI."""
    if not data.startswith(_JFIF):
        return None
    found = None
    place, scanned = 20, False
    while place + 4 <= len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if kind in (_BASELINE, _PROGRESSIVE) and found is None:
            found = _frame(data[place + 4 : end])
            if found is None:
                return None
        elif kind == _SCAN and found:
            marker = _MARKER.search(data, end)
            if marker is None:
                return None
            end, scanned = marker.start(), True
        elif kind not in _JPEG_TABLES:
            return None
        place = end
    return found if scanned and data[place:] == b"\xff\xd9" else None


def _frame(body: bytes) -> Plain | None:
    """Read size, channels and subsampling of a JPEG; None if they are unusual."""
    if len(body) < 6:
        return None
    depth, height, width, channels = struct.unpack(">BHHB", body[:6])
    samplings = list(body[7::3])
    if depth != 8 or len(body) != 6 + 3 * channels:
        return None
    grey = channels == 1
    colour = channels == 3 and samplings[0] in _LUMA and samplings[1:] == [_CHROMA] * 2
    return Plain(width, height, channels) if grey or colour else None
