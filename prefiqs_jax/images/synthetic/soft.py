"""Edges, bumps and colours from which the faces are put together."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

Scalar = Array | float


def step(x: Array, low: Scalar, high: Scalar) -> Array:
    """Rise smoothly from 0 at `low` to 1 at `high`; falls if `low` is the larger.

    >>> print(step(jnp.array([-1.0, 0.5, 2.0]), 0.0, 1.0))
    [0.  0.5 1. ]
    """
    t = jnp.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(x: Array, centre: Scalar, width: Scalar) -> Array:
    """Return a Gaussian of height 1 and standard deviation `width`."""
    return jnp.exp(-0.5 * ((x - centre) / width) ** 2)


def blob(
    x: Array, y: Array, at: tuple[Scalar, Scalar], size: tuple[Scalar, Scalar]
) -> Array:
    """Return a Gaussian of height 1 in two dimensions; `size` is (σx, σy)."""
    return bump(x, at[0], size[0]) * bump(y, at[1], size[1])


class Layer(NamedTuple):
    """One layer of colour."""

    cover: Array
    """Shape (height, width), 0 (nothing) to 1 (opaque)."""
    colour: Array
    """Shape (3,), linear light."""
    shade: Array | None = None
    """Factor on the colour, (height, width); None for 1."""


def paint(image: Array, layers: Sequence[Layer]) -> Array:
    """Lay layers over an image, (height, width, 3), the first one first."""
    for cover, colour, shade in layers:
        coat = colour[None, None]
        if shade is not None:
            coat = coat * shade[..., None]
        image = image + cover[..., None] * (coat - image)
    return image


def ripple(along: Array, across: Array, waves: Array) -> Array:
    """Return a strand-like texture in about [-1, 1]: waves across, slowly bending.

    The coordinates run along a strand and across strands; waves, (n, 3), are frequency,
    bend and phase of each.
    """
    total = jnp.zeros_like(across)
    for i in range(waves.shape[0]):
        frequency, bend, phase = waves[i, 0], waves[i, 1], waves[i, 2]
        total += jnp.sin(frequency * across + bend * along + phase)
    return total / waves.shape[0] ** 0.5


def to_srgb(linear: Array) -> Array:
    """Encode linear light in [0, 1] by the sRGB curve (IEC 61966-2-1)."""
    safe = jnp.maximum(linear, 0.0031308)
    return jnp.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * safe ** (1 / 2.4) - 0.055
    )


def to_linear(srgb: Array) -> Array:
    """Decode the sRGB curve, the inverse of :func:`to_srgb`.

    >>> bool(abs(to_srgb(to_linear(jnp.array(0.3))) - 0.3) < 1e-6)
    True
    """
    safe = jnp.maximum(srgb, 0.04045)
    return jnp.where(srgb <= 0.04045, srgb / 12.92, ((safe + 0.055) / 1.055) ** 2.4)
