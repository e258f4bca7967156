"""Noise of a camera's sensor, in linear light, where it arises."""

import numpy as np

from prefiqs_jax.images.degrade.pixels import from_linear, to_linear

# At severity 1, in units of full light: the deviation of the noise without any light,
# and the variance that light adds, as it comes in photons.
_READ = 0.08
_SHOT = 0.12
_POWER = 1.5


def sensor_noise(
    picture: np.ndarray, severity: float, rng: np.random.Generator
) -> np.ndarray:
    """Add shot and read noise, independent from pixel to pixel, then clip.

    At severity 1 the deviation is 8 % of full light in black and 36 % in white. The
    noise of photons is taken as Gaussian, so that one field serves every severity.
    """
    field = rng.standard_normal(picture.shape, np.float32)
    light = to_linear(picture)
    return from_linear(
        light + severity**_POWER * noise_deviation(light, _READ, _SHOT) * field
    )


def noise_deviation(light: np.ndarray, read: float, shot: float) -> np.ndarray:
    """Give the noise that a sensor adds to light.

    Parameters
    ----------
    light
        In [0, 1], any shape.
    read
        Deviation in the dark, in units of full light.
    shot
        Variance in units of full light, per light: 1 over the number of photons that
        full light brings.

    Returns
    -------
    np.ndarray
        Standard deviation, same shape.
    """
    return np.sqrt(read**2 + shot * light)
