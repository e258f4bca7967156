"""Lossy compression."""

import io

import numpy as np
from PIL import Image

_BEST, _WORST = 80, 3


def jpeg(picture: np.ndarray, severity: float, _rng: np.random.Generator) -> np.ndarray:
    """Compress as JPEG, with halved colour resolution.

    Pillow's quality falls from 80 to 3 in equal ratios, as most of what can be seen
    happens below 30. A block of JPEG is 8 px in pictures of any size: the one strength
    here that does not scale with the side.
    """
    quality = round(_BEST * (_WORST / _BEST) ** severity)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file, formats=["JPEG"]))
