"""Images inside of a page, as small as they look the same."""

import io

import numpy as np
from PIL import Image

MOST_LOSSLESS = 100_000
"""Bytes of a figure from which on it holds photographs, and a lossy format shows no
difference."""
_FACE_QUALITY = 80
_FIGURE_QUALITY = 90


def smallest(png: bytes) -> tuple[str, bytes]:
    """Give the format and content of a rendered figure for a page.

    Lossless WebP, a third to a half smaller than PNG; photographs as lossy WebP.
    """
    image = Image.open(io.BytesIO(png)).convert("RGB")
    content = _saved(image, lossless=True, quality=50)
    if len(content) > MOST_LOSSLESS:
        lossy = _saved(image, quality=_FIGURE_QUALITY)
        content = min(content, lossy, key=len)
    return ("webp", content) if len(content) < len(png) else ("png", png)


def as_webp(pixels: np.ndarray) -> bytes:
    """Encode a face, (height, width) or (height, width, 3), uint8."""
    return _saved(Image.fromarray(pixels).convert("RGB"), quality=_FACE_QUALITY)


def _saved(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "webp", method=4, **options)
    return stream.getvalue()
