"""What makes a photograph: pose, expression, light, background, camera."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from prefiqs_jax.images.synthetic.draws import Draws

_BLOBS = 4


class Capture(NamedTuple):
    """One photograph of anybody. Scalars are float32 arrays of shape ()."""

    yaw: Array
    """Radians; positive turns the face to the right of the image."""
    pitch: Array
    """Radians; positive looks down."""
    roll: Array
    """Radians left over by the alignment."""
    shift: Array
    """Shape (2,), pixels of 112 left over by the alignment."""
    scale: Array
    """Factor left over by the alignment."""
    smile: Array
    """-0.5 (sulking) to 1."""
    mouth_open: Array
    """0 to 1."""
    eyes_open: Array
    """0 (shut) to 1.2."""
    brow_raise: Array
    """-1 to 1."""
    gaze: Array
    """Shape (2,): where the irises look, -1 to 1."""
    light: Array
    """Shape (3,): unit vector to the lamp; x right, y down, z to the camera."""
    light_colour: Array
    """Shape (3,)."""
    ambient: Array
    """Share of the light that comes from everywhere, 0 to 1."""
    exposure: Array
    """Factor on linear light."""
    background: Array
    """Shape (2, 3): colours at the top and at the bottom."""
    blobs: Array
    """Shape (4, 6): x, y, radius and colour of the blurred things behind."""
    clothes: Array
    """Shape (3,)."""
    hair_wind: Array
    """Phase of the strands."""
    blur_px: Array
    """Standard deviation of the lens blur, in pixels of 112."""
    noise: Array
    """Standard deviation of the sensor's noise at full light, of 1."""
    noise_key: Array


def draw_capture(key: Array, variation: Array | float = 1.0) -> Capture:
    """Draw a photograph's circumstances.

    Parameters
    ----------
    key
        Random key, shape ().
    variation
        Spread: 0 is a passport photograph, 1 photographs of everyday life, beyond it
        people get hard to tell.

    Returns
    -------
    Capture
        The same key gives the same photograph.
    """
    draws_key, noise_key = jax.random.split(key)
    draws = Draws(draws_key, 100)
    uniform, normal, chance = draws.uniform, draws.normal, draws.chance
    spread = jnp.asarray(variation, jnp.float32)

    azimuth, height = spread * normal(0.75), 0.45 + spread * normal(0.35)
    x, z = jnp.sin(azimuth) * jnp.cos(height), jnp.cos(azimuth) * jnp.cos(height)
    light = jnp.stack([x, -jnp.sin(height), z])
    warmth = spread * normal(0.12)
    light_colour = jnp.exp(jnp.stack([warmth, spread * normal(0.03), -warmth]))
    at, radius = uniform(-2.0, 2.0, (_BLOBS, 2)), uniform(0.25, 0.9, (_BLOBS, 1))
    lightness, tint = uniform(0.0, 1.0, (_BLOBS, 1)), normal(0.25, shape=(_BLOBS, 3))
    blobs = jnp.concatenate([at, radius, _muted(lightness, tint)], axis=1)
    blink = 1.0 - 0.55 * chance(0.06) * jnp.minimum(spread, 1.0)
    return Capture(
        yaw=spread * normal(0.26),
        pitch=spread * normal(0.13),
        roll=spread * normal(0.035),
        shift=spread * normal(0.9, shape=(2,)),
        scale=jnp.exp(spread * normal(0.025)),
        smile=jnp.clip(spread * (0.25 + normal(0.4)), -0.5, 1.0),
        mouth_open=jnp.clip(spread * normal(0.3), 0.0, 0.8),
        eyes_open=(1.0 + spread * normal(0.10)) * blink,
        brow_raise=spread * normal(0.35),
        gaze=spread * normal(0.4, shape=(2,)),
        light=light,
        light_colour=light_colour,
        ambient=0.5 + jnp.minimum(spread, 1.5) * uniform(-0.22, 0.22),
        exposure=jnp.exp(spread * normal(0.16)),
        background=_muted(uniform(0.0, 1.0, (2, 1)), normal(0.22, shape=(2, 3))),
        blobs=blobs,
        clothes=_muted(uniform(0.0, 1.0, (1, 1)), normal(0.5, shape=(1, 3)))[0],
        hair_wind=spread * normal(0.8),
        blur_px=0.35 + spread * uniform(0.0, 0.45),
        noise=0.004 + spread * uniform(0.0, 0.02),
        noise_key=noise_key,
    )


def _muted(lightness: Array, tint: Array) -> Array:
    """Return colours of rooms, streets and cloth: grey with a tint, (n, 3)."""
    return jnp.clip((0.03 + 0.62 * lightness**2) * jnp.exp(tint), 0.0, 0.9)
