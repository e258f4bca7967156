"""What makes a person: geometry of head and features, skin, hair, irises.

Lengths are in head units: the mean head is 2 units wide, about 15 cm. u points to the
right of the image, v down, both from the centre of the head.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.images.synthetic.draws import Draws
from prefiqs_jax.images.synthetic.soft import to_linear

_WAVES = 5
_MOLES = 3


class Identity(NamedTuple):
    """One person. Scalars are float32 arrays of shape (), colours linear RGB (3,)."""

    head_width: Array
    crown: Array
    """Height of the head above its centre."""
    chin: Array
    """Depth of the chin below the centre."""
    temple: Array
    cheek: Array
    jaw: Array
    """Widening of the head at temples, cheekbones and jaw."""
    chin_width: Array
    eye_spacing: Array
    """Half the distance between the eyes."""
    eye_v: Array
    eye_width: Array
    eye_height: Array
    eye_tilt: Array
    """Radians; positive lifts the outer corners."""
    socket: Array
    """Depth of the eye sockets."""
    crease: Array
    brow_gap: Array
    """From eye to brow."""
    brow_thickness: Array
    brow_arch: Array
    brow_tilt: Array
    brow_length: Array
    brow_inner: Array
    """Distance of the inner end from the middle."""
    brow_density: Array
    nose_v: Array
    """Height of the tip."""
    nose_width: Array
    bridge_width: Array
    nose_depth: Array
    """How far the tip stands out."""
    nostril: Array
    mouth_v: Array
    mouth_width: Array
    upper_lip: Array
    lower_lip: Array
    cupid: Array
    """Depth of the notch in the upper lip."""
    mouth_bow: Array
    """Bend of the closed mouth; positive droops."""
    ear_size: Array
    ear_out: Array
    skin: Array
    lips: Array
    blush: Array
    folds: Array
    """Depth of the lines from nose to mouth and under the eyes."""
    iris: Array
    iris_size: Array
    hair: Array
    hairline: Array
    """Height of the forehead at the middle."""
    hairline_bend: Array
    recession: Array
    """How far the hair recedes at the corners of the forehead."""
    parting: Array
    """Slope of the hairline: hair swept to one side."""
    volume: Array
    hair_length: Array
    """v at which the hair at the sides ends."""
    hair_contrast: Array
    hair_waves: Array
    """Shape (5, 3): frequency, bend, phase."""
    moustache: Array
    beard: Array
    freckles: Array
    moles: Array
    """Shape (3, 3): u, v and strength."""


def draw_identity(key: Array) -> Identity:
    """Draw a person.

    Parameters
    ----------
    key
        Random key, shape ().

    Returns
    -------
    Identity
        The same key gives the same person.
    """
    draws = Draws(key, 100)
    uniform, chance = draws.uniform, draws.chance
    bald, long_hair, bearded = chance(0.06), chance(0.4), chance(0.28)
    bearded = bearded * (1.0 - long_hair)
    recession = uniform(-0.05, 0.16) * (1.0 - 0.7 * long_hair)
    tone = uniform(0.0, 1.0)
    skin = _skin(tone, uniform(-1.0, 1.0), uniform(-1.0, 1.0))
    limits = ((9.0, 34.0), (-6.0, 6.0), (0.0, 6.28))
    waves = jnp.stack([uniform(*each, (_WAVES,)) for each in limits], axis=1)
    limits = ((-0.75, 0.75), (-0.55, 1.0), (0.0, 1.0))
    u, v, strength = (uniform(*each, (_MOLES,)) for each in limits)
    moles = jnp.stack([u, v, step_up(strength, 0.55)], axis=1)
    lip_red, lip_depth = uniform(0.0, 1.0), uniform(0.45, 0.85)
    return Identity(
        head_width=uniform(0.92, 1.08),
        crown=uniform(1.34, 1.52),
        chin=uniform(1.18, 1.42),
        temple=uniform(-0.05, 0.06),
        cheek=uniform(-0.03, 0.09),
        jaw=uniform(-0.10, 0.16),
        chin_width=uniform(-0.16, 0.22),
        eye_spacing=uniform(0.365, 0.465),
        eye_v=uniform(-0.24, -0.08),
        eye_width=uniform(0.165, 0.23),
        eye_height=uniform(0.055, 0.105),
        eye_tilt=uniform(-0.12, 0.22),
        socket=uniform(0.04, 0.13),
        crease=uniform(0.0, 1.0),
        brow_gap=uniform(0.19, 0.32),
        brow_thickness=uniform(0.022, 0.075),
        brow_arch=uniform(0.0, 0.11),
        brow_tilt=uniform(-0.22, 0.26),
        brow_length=uniform(0.40, 0.56),
        brow_inner=uniform(0.09, 0.22),
        brow_density=uniform(0.45, 1.0),
        nose_v=uniform(0.21, 0.39),
        nose_width=uniform(0.12, 0.235),
        bridge_width=uniform(0.055, 0.11),
        nose_depth=uniform(0.20, 0.42),
        nostril=uniform(0.35, 1.0),
        mouth_v=uniform(0.69, 0.84),
        mouth_width=uniform(0.25, 0.40),
        upper_lip=uniform(0.028, 0.085),
        lower_lip=uniform(0.045, 0.115),
        cupid=uniform(0.0, 0.5),
        mouth_bow=uniform(-0.035, 0.035),
        ear_size=uniform(0.8, 1.25),
        ear_out=uniform(-0.02, 0.10),
        skin=skin,
        lips=_lips(skin, lip_red, lip_depth),
        blush=uniform(0.0, 1.0),
        folds=uniform(0.0, 1.0),
        iris=_choose(uniform(0.0, 1.0) * (1.0 - 0.6 * tone), _IRISES)
        * uniform(0.75, 1.25),
        iris_size=uniform(0.072, 0.096),
        # Light hair goes with light skin, mostly.
        hair=_choose(uniform(0.0, 1.0) * (1.0 - 0.6 * tone), _HAIRS)
        * uniform(0.7, 1.3),
        hairline=uniform(0.62, 1.02) + 0.7 * bald,
        hairline_bend=uniform(0.75, 1.25),
        recession=recession,
        parting=uniform(-0.30, 0.30),
        volume=uniform(0.03, 0.26) * (1.0 - bald),
        hair_length=long_hair * uniform(0.7, 1.9)
        + (1.0 - long_hair) * uniform(-0.35, 0.15),
        hair_contrast=uniform(0.15, 0.5),
        hair_waves=waves,
        moustache=bearded * step_up(uniform(0.0, 1.0), 0.25),
        beard=bearded * step_up(uniform(0.0, 1.0), 0.35),
        freckles=step_up(uniform(0.0, 1.0), 0.75),
        moles=moles,
    )


def step_up(x: Array, start: float) -> Array:
    """Map [0, start] to 0 and [start, 1] to [0.35, 1], so that a trait is plain."""
    return jnp.where(x > start, 0.35 + 0.65 * (x - start) / (1.0 - start), 0.0)


# sRGB, from light to dark; typical values of photographs.
_SKINS = "f6d6c2 e2b696 c68e6a 8e5c40 543628"
_HAIRS = "161312 1e1816 2e201a 543826 969492 783a20 805c3a bc9864"
_IRISES = "3a2418 56361e 6e6036 5c7854 6484a0 808e98"


def _palette(colours: str) -> Array:
    """Read colours in hexadecimal as linear light, (colours, 3)."""
    levels = np.frombuffer(bytes.fromhex(colours), np.uint8).reshape(-1, 3)
    return to_linear(jnp.array(levels, jnp.float32) / 255.0)


def _choose(where: Array, colours: str) -> Array:
    """Take one colour of a palette, `where` in [0, 1]."""
    palette = _palette(colours)
    index = jnp.minimum((where * len(palette)).astype(jnp.int32), len(palette) - 1)
    return palette[index]


def _skin(tone: Array, warmth: Array, lightness: Array) -> Array:
    """Interpolate the palette of skins; `tone` runs from light, 0, to dark, 1."""
    palette = _palette(_SKINS)
    place = tone * (len(palette) - 1)
    knots = jnp.arange(len(palette), dtype=jnp.float32)
    colour = jnp.stack([jnp.interp(place, knots, palette[:, i]) for i in range(3)])
    tint = 1.0 + jnp.array([0.05, 0.0, -0.10], jnp.float32) * warmth
    return jnp.clip(colour * tint * (1.0 + 0.08 * lightness), 0.01, 0.95)


def _lips(skin: Array, red: Array, depth: Array) -> Array:
    """Darken and redden the skin."""
    pale = jnp.array([0.95, 0.72, 0.72], jnp.float32)
    full = jnp.array([0.95, 0.42, 0.46], jnp.float32)
    return skin * (pale + red * (full - pale)) * (0.55 + 0.45 * depth)
