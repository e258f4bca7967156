"""Units that the degradations share: side lengths, template positions, linear light."""

import numpy as np

TEMPLATE = 112.0
"""Width and height of the ArcFace template, in which landmarks are given, in px."""


def _srgb_decoded(levels: np.ndarray) -> np.ndarray:
    encoded = levels / 255
    return np.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4
    )


_LINEAR = _srgb_decoded(np.arange(256.0)).astype(np.float32)


def side_px(picture: np.ndarray) -> float:
    """Return the side of the square with the area of an image, in pixels."""
    height, width = picture.shape[:2]
    return float(np.sqrt(height * width))


def template_grid(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the centres of an image's pixels in pixels of the ArcFace template.

    Parameters
    ----------
    picture
        Shape (height, width, 3).

    Returns
    -------
    x, y
        Shapes (1, width) and (height, 1), float32; they run from 0 to 111 if the
        image has the size of the template.
    """
    height, width = picture.shape[:2]
    x = (np.arange(width, dtype=np.float32) + 0.5) * (TEMPLATE / width) - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) * (TEMPLATE / height) - 0.5
    return x[None, :], y[:, None]


def to_linear(picture: np.ndarray) -> np.ndarray:
    """Undo the sRGB encoding.

    Parameters
    ----------
    picture
        Any shape, uint8.

    Returns
    -------
    np.ndarray
        Light in [0, 1], same shape, float32.

    Examples
    --------
    >>> to_linear(np.array([0, 188, 255], np.uint8)).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    return _LINEAR[picture]


def from_linear(light: np.ndarray) -> np.ndarray:
    """Clip light to [0, 1], as a sensor does, and encode it as sRGB on 0 to 255.

    Examples
    --------
    >>> from_linear(np.array([-1.0, 0.5, 1.0, 9.0])).round().tolist()
    [0.0, 188.0, 255.0, 255.0]
    """
    light = np.clip(light, 0, 1)
    curve = 1.055 * light ** (1 / 2.4) - 0.055
    return 255 * np.where(light <= 0.0031308, 12.92 * light, curve)


def blend(picture: np.ndarray, over: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Lay colours over an image.

    Parameters
    ----------
    picture
        Shape (height, width, 3), uint8.
    over
        Colours on 0 to 255; broadcasts to the image.
    opacity
        Shape (height, width), in [0, 1]; where it is 0 the image stays exactly.

    Returns
    -------
    np.ndarray
        Same shape as the image, float32.
    """
    below = picture.astype(np.float32)
    return below + opacity[..., None] * (over - below)
