"""Too little light, too much of it, or too little contrast."""

import numpy as np

from prefiqs_jax.images.degrade.pixels import from_linear, to_linear
from prefiqs_jax.images.degrade.sensor import noise_deviation

# At severity 1: halvings and doublings of the light, and the contrast that is left.
_DARK_STOPS = 9.0
_BRIGHT_STOPS = 4.5
_CONTRAST = 0.04
# Of the sensor in the dark, in units of full light; about 1 of 255 levels in black.
_READ = 0.0006
_SHOT = 0.0003


def darkness(
    picture: np.ndarray, severity: float, rng: np.random.Generator
) -> np.ndarray:
    """Expose too short, with the noise of a dark exposure.

    Light falls to 1/512 at severity 1. What the noise leaves is lost in rounding to 8
    bits: brightening the picture does not bring it back.
    """
    field = rng.standard_normal(picture.shape, np.float32)
    light = to_linear(picture) * 2 ** (-_DARK_STOPS * severity)
    return from_linear(light + severity * noise_deviation(light, _READ, _SHOT) * field)


def over_exposure(
    picture: np.ndarray, severity: float, _rng: np.random.Generator
) -> np.ndarray:
    """Expose too long: what exceeds full light is clipped, channel by channel.

    Light rises by 4.5 stops, 23-fold, at severity 1.
    """
    return from_linear(to_linear(picture) * 2 ** (_BRIGHT_STOPS * severity))


def low_contrast(
    picture: np.ndarray, severity: float, _rng: np.random.Generator
) -> np.ndarray:
    """Pull all pixels towards the picture's mean colour, as haze does.

    Contrast falls in equal ratios to 4 % at severity 1, about ten levels of 256.
    """
    mean = picture.mean((0, 1), dtype=np.float32)
    return mean + _CONTRAST**severity * (picture - mean)
