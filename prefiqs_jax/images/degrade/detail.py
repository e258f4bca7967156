"""Loss of detail: a small face, enlarged, and lossy compression."""

import io

import numpy as np
from numpy.random import Generator
from PIL import Image

from prefiqs_jax.images.degrade.pixels import side_px

# At severity 1. An absolute number: the detail of a face that is left is the same in
# images of every size.
_SMALLEST_PX = 8
# Pillow's quality of JPEG at severities 0 and 1.
_BEST, _WORST = 80, 3


def low_resolution(image: np.ndarray, severity: float, _rng: Generator) -> np.ndarray:
    """Shrink, then enlarge to the size that was.

    The side falls in equal ratios to 8 px at severity 1, 1/14 of 112.
    """
    height, width = image.shape[:2]
    ratio = min(_SMALLEST_PX / side_px(image), 1) ** severity
    small = max(1, round(width * ratio)), max(1, round(height * ratio))
    # Pillow widens its filters when it shrinks, so that nothing aliases.
    shrunk = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(shrunk.resize((width, height), Image.Resampling.BICUBIC))


def jpeg(image: np.ndarray, severity: float, _rng: Generator) -> np.ndarray:
    """Compress as JPEG, with halved colour resolution.

    Pillow's quality falls from 80 to 3 in equal ratios, as most of what can be seen
    happens below 30. A block of JPEG is 8 px in images of any size: the one strength
    here that does not scale with the side.
    """
    quality = round(_BEST * (_WORST / _BEST) ** severity)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file, formats=["JPEG"]))
