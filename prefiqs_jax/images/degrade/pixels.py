"""Units that the degradations share: side lengths, template positions, linear light."""

import numpy as np

TEMPLATE = 112.0
"""Width and height of the ArcFace template, in which landmarks are given, in px."""


_CODE = np.arange(256.0) / 255
_CURVE = ((_CODE + 0.055) / 1.055) ** 2.4
_LINEAR = np.where(_CODE <= 0.04045, _CODE / 12.92, _CURVE).astype(np.float32)


def side_px(image: np.ndarray) -> float:
    """Return the side of the square with the area of an image, in pixels."""
    height, width = image.shape[:2]
    return float(np.sqrt(height * width))


def template_grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the centres of an image's pixels in pixels of the ArcFace template.

    Shapes (1, width) and (height, 1), float32; they run from 0 to 111 if the image has
    the size of the template.
    """
    height, width = image.shape[:2]
    x = (np.arange(width, dtype=np.float32) + 0.5) * (TEMPLATE / width) - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) * (TEMPLATE / height) - 0.5
    return x[None, :], y[:, None]


def to_linear(image: np.ndarray) -> np.ndarray:
    """Undo the sRGB encoding of uint8: light in [0, 1], same shape, float32.

    >>> to_linear(np.array([0, 188, 255], np.uint8)).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    return _LINEAR[image]


def from_linear(light: np.ndarray) -> np.ndarray:
    """Clip light to [0, 1], as a sensor does, and encode it as sRGB on 0 to 255.

    >>> from_linear(np.array([-1.0, 0.5, 1.0, 9.0])).round().tolist()
    [0.0, 188.0, 255.0, 255.0]
    """
    light = np.clip(light, 0, 1)
    curve = 1.055 * light ** (1 / 2.4) - 0.055
    return 255 * np.where(light <= 0.0031308, 12.92 * light, curve)


def blend(image: np.ndarray, over: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Lay colours on 0 to 255 over an image (height, width, 3), uint8; gives float32.

    Where the opacity, (height, width) in [0, 1], is 0 the image stays exactly.
    """
    below = image.astype(np.float32)
    return below + opacity[..., None] * (over - below)
