"""What made an aligned image, kept as a line of text in its PNG file."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, PngImagePlugin

from prefiqs_jax.images.geometry.opencv import opencv
from prefiqs_jax.images.opening import BadImage, open_header, quiet_pillow, regular_file

KEY = "prefiqs-align"
"""Keyword of the text chunk."""
# Of zlib: a face takes 7 % more space than at Pillow's level, and a third of the time.
_COMPRESSION = 1


SETTINGS = ("template", "height", "width", "located_by", "opencv")
"""Fields of a stamp that all crops of a folder share."""


class Stamp(NamedTuple):
    """How a crop was made: enough to make it again, and to see that it need not be."""

    template: str
    height: int
    width: int
    located_by: str
    """``table``, or the SHA-256 of the detector's file."""
    opencv: str
    """First number of OpenCV's version: 4 and 5 interpolate differently."""
    landmarks: tuple[tuple[float, ...], ...]
    """x and y of the five points in the source image, in pixels."""
    source_sha256: str
    """Digest of the source image's file."""
    pixels_sha256: str = ""
    """Digest of the crop's pixels, row by row; filled in when it is encoded."""

    @property
    def settings(self) -> dict[str, Any]:
        """What all crops of a folder share, by name."""
        return {name: getattr(self, name) for name in SETTINGS}


def opencv_version() -> str:
    """Give what a stamp says of OpenCV."""
    return opencv().__version__.split(".")[0]


def encode_stamped(pixels: UInt8[np.ndarray, "height width 3"], stamp: Stamp) -> bytes:
    """Encode a crop as PNG, RGB, with its stamp; the same input, the same bytes."""
    text = PngImagePlugin.PngInfo()
    stamp = stamp._replace(pixels_sha256=pixels_sha256(pixels))
    text.add_text(KEY, json.dumps(stamp._asdict()))
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    image.save(file, format="PNG", pnginfo=text, compress_level=_COMPRESSION)
    return file.getvalue()


def pixels_sha256(pixels: UInt8[np.ndarray, "height width 3"]) -> str:
    """Digest the pixels of a crop."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def read_stamp(path: Path) -> Stamp | None:
    """Read the stamp of a PNG file, without decoding it; None if it has none."""
    try:
        with quiet_pillow(), regular_file(path, str(path)) as file:
            header = open_header(file, str(path))
            found: Any = json.loads(header.info[KEY])
        found["landmarks"] = tuple(map(tuple, found["landmarks"]))
        return Stamp(**found)
    except (BadImage, KeyError, TypeError, ValueError):
        return None
