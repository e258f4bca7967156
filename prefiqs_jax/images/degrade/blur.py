"""Blur: out of focus, and by motion of the camera or the head."""

import numpy as np
from numpy.random import Generator
from scipy import fft, ndimage

from prefiqs_jax.images.degrade.pixels import side_px

# At severity 1, as fractions of the side. Twice the blur is about one step for the eye
# at any strength, hence powers above 1: small blurs get more of the scale.
_SIGMA = 0.06
_LENGTH = 0.3
_POWER = 1.3


def gaussian_blur(image: np.ndarray, severity: float, _rng: Generator) -> np.ndarray:
    """Blur evenly, as a lens out of focus.

    The standard deviation at severity 1 is 6 % of the side, 6.7 px of 112.
    """
    sigma = _SIGMA * severity**_POWER * side_px(image)
    return ndimage.gaussian_filter(
        image.astype(np.float32), (sigma, sigma, 0), mode="nearest", truncate=3
    )


def motion_blur(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Smear along a straight line in a random direction.

    The line at severity 1 is 30 % of the side long, 34 px of 112.
    """
    angle = rng.uniform(0, np.pi)
    length = _LENGTH * severity**_POWER * side_px(image)
    kernel = _line(length * np.sin(angle), length * np.cos(angle))
    return _convolved(image, kernel)


def _line(height: float, width: float) -> np.ndarray:
    """Average a point over a straight line through the centre of a kernel.

    Each of many points on the line is shared by its four nearest pixels, so that the
    kernel changes smoothly with length and angle, and is one point for length 0.
    """
    reach = int(np.ceil(max(abs(height), abs(width)) / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    count = 8 * reach
    along = (np.arange(count) + 0.5) / count - 0.5
    y, x = along * height + reach, along * width + reach
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    np.add.at(kernel, (top, left), (1 - down) * (1 - right))
    np.add.at(kernel, (top, left + 1), (1 - down) * right)
    np.add.at(kernel, (top + 1, left), down * (1 - right))
    np.add.at(kernel, (top + 1, left + 1), down * right)
    return kernel / kernel.sum()


def _convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve with a square kernel of odd side, the outermost pixels repeated."""
    # By Fourier transform: a long line costs ten times as much pixel by pixel.
    height, width = image.shape[:2]
    reach = len(kernel) // 2
    margins = ((reach, reach), (reach, reach), (0, 0))
    wide = np.pad(image.astype(np.float32), margins, "edge")
    size = [fft.next_fast_len(length, real=True) for length in wide.shape[:2]]
    transfer = np.asarray(fft.rfft2(kernel, size))[..., None]
    spectrum = np.asarray(fft.rfft2(wide, size, axes=(0, 1)))
    blurred = np.asarray(fft.irfft2(spectrum * transfer, size, axes=(0, 1)))
    # What wraps around at the ends of the transform lies in the part cut off.
    return blurred[2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]
