"""Light and the sensor that counts it: too little, too much, noise, haze."""

import numpy as np
from numpy.random import Generator

from prefiqs_jax.images.degrade.pixels import from_linear, to_linear

# At severity 1: halvings and doublings of the light, and the contrast that is left.
_DARK_STOPS = 9.0
_BRIGHT_STOPS = 4.5
_CONTRAST = 0.04
# Noise of a sensor in units of full light: its deviation in the dark, and the variance
# that light adds, as it comes in photons; that of a good one, and at severity 1.
_READ, _SHOT = 0.0006, 0.0003
_MOST_READ, _MOST_SHOT = 0.08, 0.12
_POWER = 1.5


def sensor_noise(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Add shot and read noise, independent from pixel to pixel, then clip.

    At severity 1 the deviation is 8 % of full light in black and 36 % in white. The
    noise of photons is taken as Gaussian, so that one field serves every severity.
    """
    field = rng.standard_normal(image.shape, np.float32)
    light = to_linear(image)
    return from_linear(
        light + severity**_POWER * _noise(light, _MOST_READ, _MOST_SHOT) * field
    )


def darkness(image: np.ndarray, severity: float, rng: Generator) -> np.ndarray:
    """Expose too short, with the noise of a dark exposure.

    Light falls to 1/512 at severity 1. What the noise leaves is lost in rounding to 8
    bits: brightening the image does not bring it back.
    """
    field = rng.standard_normal(image.shape, np.float32)
    light = to_linear(image) * 2 ** (-_DARK_STOPS * severity)
    return from_linear(light + severity * _noise(light, _READ, _SHOT) * field)


def over_exposure(image: np.ndarray, severity: float, _rng: Generator) -> np.ndarray:
    """Expose too long: what exceeds full light is clipped, channel by channel.

    Light rises by 4.5 stops, 23-fold, at severity 1.
    """
    return from_linear(to_linear(image) * 2 ** (_BRIGHT_STOPS * severity))


def low_contrast(image: np.ndarray, severity: float, _rng: Generator) -> np.ndarray:
    """Pull all pixels towards the image's mean colour, as haze does.

    Contrast falls in equal ratios to 4 % at severity 1, about ten levels of 256.
    """
    mean = image.mean((0, 1), dtype=np.float32)
    return mean + _CONTRAST**severity * (image - mean)


def _noise(light: np.ndarray, read: float, shot: float) -> np.ndarray:
    """Give the standard deviation of a sensor's noise at each light in [0, 1]."""
    return np.sqrt(read**2 + shot * light)
