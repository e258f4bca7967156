"""What makes a person: geometry of head and features, skin, hair, irises.

Lengths are in head units: the mean head is 2 units wide, about 15 cm. u points to the
right of the image, v down, both from the centre of the head.
"""

from typing import Annotated, NamedTuple, get_type_hints

import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.images.synthetic.draws import Draws
from prefiqs_jax.images.synthetic.soft import to_linear

_WAVES = 5
_MOLES = 3


class Identity(NamedTuple):
    """One person. Scalars are float32 arrays of shape (), colours linear RGB (3,).

    Two numbers beside the type are the limits of a trait that is drawn evenly.
    """

    head_width: Annotated[Array, 0.92, 1.08]
    crown: Annotated[Array, 1.34, 1.52]
    """Height of the head above its centre."""
    chin: Annotated[Array, 1.18, 1.42]
    """Depth of the chin below the centre."""
    temple: Annotated[Array, -0.05, 0.06]
    cheek: Annotated[Array, -0.03, 0.09]
    jaw: Annotated[Array, -0.10, 0.16]
    """Widening of the head at temples, cheekbones and jaw."""
    chin_width: Annotated[Array, -0.16, 0.22]
    eye_spacing: Annotated[Array, 0.365, 0.465]
    """Half the distance between the eyes."""
    eye_v: Annotated[Array, -0.24, -0.08]
    eye_width: Annotated[Array, 0.165, 0.23]
    eye_height: Annotated[Array, 0.055, 0.105]
    eye_tilt: Annotated[Array, -0.12, 0.22]
    """Radians; positive lifts the outer corners."""
    socket: Annotated[Array, 0.04, 0.13]
    """Depth of the eye sockets."""
    crease: Annotated[Array, 0.0, 1.0]
    brow_gap: Annotated[Array, 0.19, 0.32]
    """From eye to brow."""
    brow_thickness: Annotated[Array, 0.022, 0.075]
    brow_arch: Annotated[Array, 0.0, 0.11]
    brow_tilt: Annotated[Array, -0.22, 0.26]
    brow_length: Annotated[Array, 0.40, 0.56]
    brow_inner: Annotated[Array, 0.09, 0.22]
    """Distance of the inner end from the middle."""
    brow_density: Annotated[Array, 0.45, 1.0]
    nose_v: Annotated[Array, 0.21, 0.39]
    """Height of the tip."""
    nose_width: Annotated[Array, 0.12, 0.235]
    bridge_width: Annotated[Array, 0.055, 0.11]
    nose_depth: Annotated[Array, 0.20, 0.42]
    """How far the tip stands out."""
    nostril: Annotated[Array, 0.35, 1.0]
    mouth_v: Annotated[Array, 0.69, 0.84]
    mouth_width: Annotated[Array, 0.25, 0.40]
    upper_lip: Annotated[Array, 0.028, 0.085]
    lower_lip: Annotated[Array, 0.045, 0.115]
    cupid: Annotated[Array, 0.0, 0.5]
    """Depth of the notch in the upper lip."""
    mouth_bow: Annotated[Array, -0.035, 0.035]
    """Bend of the closed mouth; positive droops."""
    ear_size: Annotated[Array, 0.8, 1.25]
    ear_out: Annotated[Array, -0.02, 0.10]
    skin: Array
    lips: Array
    blush: Annotated[Array, 0.0, 1.0]
    folds: Annotated[Array, 0.0, 1.0]
    """Depth of the lines from nose to mouth and under the eyes."""
    iris: Array
    iris_size: Annotated[Array, 0.072, 0.096]
    hair: Array
    hairline: Array
    """Height of the forehead at the middle."""
    hairline_bend: Annotated[Array, 0.75, 1.25]
    recession: Array
    """How far the hair recedes at the corners of the forehead."""
    parting: Annotated[Array, -0.30, 0.30]
    """Slope of the hairline: hair swept to one side."""
    volume: Array
    hair_length: Array
    """v at which the hair at the sides ends."""
    hair_contrast: Annotated[Array, 0.15, 0.5]
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

    def light(colours: str) -> Array:
        return _choose(uniform(0.0, 1.0) * (1.0 - 0.6 * tone), colours)

    special = {
        "skin": lambda: skin,
        "lips": lambda: _lips(skin, lip_red, lip_depth),
        # Light hair goes with light skin, mostly.
        "iris": lambda: light(_IRISES) * uniform(0.75, 1.25),
        "hair": lambda: light(_HAIRS) * uniform(0.7, 1.3),
        "hairline": lambda: uniform(0.62, 1.02) + 0.7 * bald,
        "recession": lambda: recession,
        "volume": lambda: uniform(0.03, 0.26) * (1.0 - bald),
        "hair_length": lambda: (
            long_hair * uniform(0.7, 1.9) + (1.0 - long_hair) * uniform(-0.35, 0.15)
        ),
        "hair_waves": lambda: waves,
        "moustache": lambda: bearded * step_up(uniform(0.0, 1.0), 0.25),
        "beard": lambda: bearded * step_up(uniform(0.0, 1.0), 0.35),
        "freckles": lambda: step_up(uniform(0.0, 1.0), 0.75),
        "moles": lambda: moles,
    }
    traits = {}
    # One after another: every trait takes the next of the draws.
    for name, hint in get_type_hints(Identity, include_extras=True).items():
        drawn = special.get(name)
        traits[name] = drawn() if drawn else uniform(*hint.__metadata__)
    return Identity(**traits)


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
