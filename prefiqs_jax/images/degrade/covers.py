"""Things in front of the face: a block, a mask, glasses; placed on the template."""

import numpy as np
from numpy.random import Generator

from prefiqs_jax.images.degrade.pixels import TEMPLATE, blend, template_grid

# All lengths in px of the template, 112 wide.
# Of the block: where its centre may be, and its side at severity 1.
_CENTRE = (36.0, 76.0)
_SIDE = 84.0
# Greatest ratio of width to height, and its inverse the smallest.
_ASPECT = 1.5
_EYES = ((38.3, 51.7), (73.5, 51.5))
_NOSE_X = 56.0
# Where the mask ends at severity 1: on the bridge of the nose, lower on the cheeks.
_MASK_TOP = 57.0
_MASK_HALF_WIDTH = 42.0
_CHEEK_DROP = 9.0
_PLEATS = (77.0, 86.0, 95.0)
_MASK_COLOURS = np.array(
    [(164, 200, 220), (222, 226, 228), (140, 192, 188), (206, 178, 190)], np.float32
)
_LENS = (18.5, 15.5)
# Lenses sit a little outside of and below the eyes.
_LENS_OUT = 1.5
_LENS_DOWN = 1.0
_EARS = (12.0, 100.0)
_SOFT_PX = 1.0


def block_occlusion(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Cover a rectangle of one random colour, about a random point of the face.

    Its side, the root of its area, grows to 75 % of the image's at severity 1; a part
    may lie outside. A block of a higher severity covers that of a lower one.
    """
    centre_x, centre_y = rng.uniform(*_CENTRE, 2)
    aspect = _ASPECT ** rng.uniform(-1, 1)
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    side = _SIDE * severity
    x, y = template_grid(image)
    # Half a pixel more or less at the edge is covered in part: smooth in severity.
    across = np.clip(side * np.sqrt(aspect) / 2 - abs(x - centre_x) + 0.5, 0, 1)
    down = np.clip(side / np.sqrt(aspect) / 2 - abs(y - centre_y) + 0.5, 0, 1)
    return blend(image, colour, across * down)


def face_mask(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Cover the face with a surgical mask, from the chin upwards.

    At severity 0.2 it covers the chin, at 0.6 the mouth, and at 1 it reaches the bridge
    of the nose. Where it is, it hides all; a mask of a higher severity covers that of a
    lower one.
    """
    colour = _MASK_COLOURS[rng.integers(len(_MASK_COLOURS))]
    width_factor = rng.uniform(0.96, 1.04)
    x, y = template_grid(image)
    # Follows the cheeks downwards and rounds off at the chin.
    taper = np.clip((y - _MASK_TOP) / (TEMPLATE + 6 - _MASK_TOP), 0, 1)
    half_width = _MASK_HALF_WIDTH * width_factor * (1 - taper**2.6) ** 0.6
    across = (x - _NOSE_X) / np.maximum(half_width, 1)
    drop = _CHEEK_DROP * ((x - _NOSE_X) / _MASK_HALF_WIDTH) ** 2
    top = _MASK_TOP + (TEMPLATE - _MASK_TOP) * (1 - severity) + drop
    opacity = _soft(half_width - abs(x - _NOSE_X)) * _soft(y - top)
    # Darker towards the sides and under each pleat, or it looks pasted.
    shade = 1 - 0.3 * np.clip(across**2, 0, 1)
    for pleat in _PLEATS:
        below = y - (pleat + drop / 3)
        shade = shade - 0.12 * np.exp(-np.maximum(below, 0) / 2) * _soft(below)
    over = colour * shade[..., None] * _brightness(image)
    return blend(image, over, opacity)


def sunglasses(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Put dark glasses over the eyes, larger and darker the higher the severity.

    At severity 1 the lenses let 2 % through and reach from above the eyebrows to the
    middle of the nose. Glasses of a higher severity cover those of a lower one.
    """
    exponent = rng.uniform(2.2, 3.5)
    tint = rng.uniform(8, 40, 3).astype(np.float32)
    x, y = template_grid(image)
    size = 0.55 + 0.45 * severity
    half_width, half_height = size * _LENS[0], size * _LENS[1]
    shape = np.zeros((y.size, x.size), np.float32)
    for eye_x, eye_y in _EYES:
        out = np.sign(eye_x - _NOSE_X) * _LENS_OUT
        away = (
            abs(x - eye_x - out) / half_width,
            abs(y - eye_y - _LENS_DOWN) / half_height,
        )
        radius = (away[0] ** exponent + away[1] ** exponent) ** (1 / exponent)
        shape = np.maximum(shape, _soft((1 - radius) * half_height))
    # The bridge, and the arms to the ears, in one bar behind the lenses.
    eye_y = (_EYES[0][1] + _EYES[1][1]) / 2
    between_ears = _soft(np.minimum(x - _EARS[0], _EARS[1] - x) / 2)
    bar = _soft(1.6 * size - abs(y - eye_y + 4)) * between_ears
    shape = np.maximum(shape, bar)
    opacity = 0.98 * (1 - (1 - severity) ** 1.5) * shape
    gleam = 1 + 0.8 * np.clip((eye_y + 6 - y) / 20, 0, 1)
    return blend(image, tint * gleam[..., None], opacity)


def _soft(inside: np.ndarray) -> np.ndarray:
    """Turn the distance inside an edge, in px, to a coverage in [0, 1]."""
    return np.clip(inside / (2 * _SOFT_PX) + 0.5, 0, 1)


def _brightness(image: np.ndarray) -> float:
    """Give a factor for white cloth in the light of this image."""
    # White cloth is somewhat brighter than the brightest tenth of a well-lit face.
    return float(np.clip(np.quantile(image[::4, ::4], 0.9) / 210, 0.25, 1.1))
