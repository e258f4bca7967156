"""Errors of alignment: a face off its place, turned, or of the wrong size.

What enters at the borders repeats the outermost pixels. A wider crop of a real image
would show hair, neck and background there, and no second face: a mirrored border would
show another mouth and chin, or eyes, to which networks respond; a black one, an edge
that no real crop has.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image

from prefiqs_jax.images.degrade.pixels import side_px

# At severity 1, about the worst that a detector does to a face it has found: a fraction
# of the side, degrees, and a ratio of sizes.
_SHIFT = 0.08
_ANGLE = 15.0
_ZOOM = 1.2


def translation(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Move the face in a random direction.

    By 8 % of the side at severity 1, 9 px of 112: a quarter of the distance of
    the eyes.
    """
    angle = rng.uniform(0, 2 * np.pi)
    distance = _SHIFT * severity * side_px(image)
    right, down = distance * np.cos(angle), distance * np.sin(angle)
    height, width = image.shape[:2]
    return _crop(image, -right, -down, width - right, height - down)


def rotation(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Turn the face about the image's centre, to a random side.

    By 15° at severity 1.
    """
    angle = np.deg2rad(_ANGLE * severity * rng.choice((-1, 1)))
    cos, sin = np.cos(angle), np.sin(angle)
    height, width = image.shape[:2]
    # No corner is further from the centre than half the diagonal.
    margin = int(np.ceil(np.hypot(height, width) / 2 - min(height, width) / 2)) + 1
    # Maps x and y of the result to x and y of the extended image, in two rows.
    matrix = (
        cos, -sin, width / 2 + margin - cos * width / 2 + sin * height / 2,
        sin, cos, height / 2 + margin - sin * width / 2 - cos * height / 2,
    )  # fmt: skip
    # In floating point: on 8 bits, Pillow cuts off what it should round here.
    channels = np.moveaxis(_extended(image, margin).astype(np.float32), -1, 0)
    turned = [
        Image.fromarray(channel).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
        )
        for channel in channels
    ]
    return np.stack([np.asarray(channel) for channel in turned], -1)


def scaling(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Enlarge or shrink the face about the image's centre, at random one of the two.

    By a factor of 1.2 at severity 1.
    """
    factor = _ZOOM ** (severity * rng.choice((-1, 1)))
    height, width = image.shape[:2]
    left, top = width / 2 * (1 - 1 / factor), height / 2 * (1 - 1 / factor)
    return _crop(image, left, top, width - left, height - top)


def _crop(
    image: np.ndarray, left: float, top: float, right: float, bottom: float
) -> np.ndarray:
    """Fill the image's size with a box of it, which may reach over its borders.

    Edges in pixels. Pillow's filters interpolate where the box is enlarged and average
    where it is shrunk, so that nothing aliases.
    """
    height, width = image.shape[:2]
    margin = int(np.ceil(max(-left, -top, right - width, bottom - height, 0)))
    box = (left + margin, top + margin, right + margin, bottom + margin)
    wide = Image.fromarray(_extended(image, margin))
    return np.asarray(wide.resize((width, height), Image.Resampling.BICUBIC, box))


def _extended(image: np.ndarray, margin: int) -> np.ndarray:
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "edge")
