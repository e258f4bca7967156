"""Loss of resolution: a small face, enlarged."""

import numpy as np
from PIL import Image

from prefiqs_jax.images.degrade.pixels import side_px

# At severity 1. An absolute number: the detail of a face that is left is the same in
# pictures of every size.
_SMALLEST_PX = 8


def low_resolution(
    picture: np.ndarray, severity: float, _rng: np.random.Generator
) -> np.ndarray:
    """Shrink, then enlarge to the size that was.

    The side falls in equal ratios to 8 px at severity 1, 1/14 of 112.
    """
    height, width = picture.shape[:2]
    ratio = min(_SMALLEST_PX / side_px(picture), 1) ** severity
    small = max(1, round(width * ratio)), max(1, round(height * ratio))
    image = Image.fromarray(picture)
    # Pillow widens its filters when it shrinks, so that nothing aliases.
    image = image.resize(small, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
