"""Hair behind and on the head, ears and neck."""

import jax.numpy as jnp
from jax import Array

from prefiqs_jax.images.synthetic.captures import Capture
from prefiqs_jax.images.synthetic.geometry import Surface, rotation
from prefiqs_jax.images.synthetic.people import Identity
from prefiqs_jax.images.synthetic.soft import Layer, bump, ripple, step


def on_head(person: Identity, surface: Surface, streaks: Array) -> Array:
    """Return where hair covers the head, 0 to 1."""
    u, v, z = surface.u, surface.v, surface.z
    side = jnp.abs(u) / person.head_width
    line = (
        -person.hairline
        + person.hairline_bend * side**4
        - person.recession * bump(side, 0.5, 0.17)
        + person.parting * u
    )
    ragged = 0.025 * streaks
    front = step(v, line + 0.06 + ragged, line - 0.05 + ragged)
    # Behind the ears; sideburns end at their middle.
    behind = step(z, 0.12, -0.06) * step(v, 0.30, 0.05)
    sides = step(v, person.hair_length + 0.15, person.hair_length - 0.1)
    beside = step(side, 0.80, 0.93) * step(z, 0.55, 0.30) * sides
    buzzed = step(person.volume, 0.0, 0.02)
    return jnp.clip(jnp.maximum(front, jnp.maximum(behind, beside) * buzzed), 0.0, 1.0)


def behind_head(
    person: Identity, capture: Capture, x: Array, y: Array, pixel: Array
) -> Array:
    """Return where hair shows beside and above the head, 0 to 1."""
    turn = rotation(capture)
    # The mass of hair sits behind the middle of the head, so it moves against the face.
    at_x = -0.22 * turn[0, 2] - 0.25 * turn[0, 1]
    at_y = -0.22 * turn[1, 2] - 0.25 * turn[1, 1]
    wide = person.head_width + 0.75 * person.volume
    high = person.crown - 0.25 + person.volume
    dx, dy = (x - at_x) / wide, (y - at_y) / high
    radius = jnp.sqrt(dx**2 + jnp.where(dy < 0, dy, 0.0) ** 2)
    soft = 1.5 * pixel
    frizz = 0.015 * ripple(y, x, person.hair_waves)
    round_top = step(radius + frizz, 1.0 + soft, 1.0 - soft)
    length = person.hair_length + 0.05 * ripple(y, x, 0.7 * person.hair_waves)
    down = step(y, length + 0.12, length - 0.12)
    shown = step(person.volume, 0.0, 0.02)
    return round_top * down * shown


def strands(person: Identity, capture: Capture, surface: Surface, x: Array) -> Array:
    """Return streaks along the strands, about -1 to 1."""
    wind = jnp.stack([jnp.zeros_like(capture.hair_wind)] * 2 + [capture.hair_wind])
    waves = person.hair_waves + wind[None]
    return ripple(surface.v, surface.u + 0.4 * x, waves)


def ears(
    person: Identity, capture: Capture, x: Array, y: Array, pixel: Array
) -> list[Layer]:
    """Paint both ears."""
    turn = rotation(capture)
    cover, shade = jnp.zeros_like(x), jnp.full_like(x, 0.72)
    wide = 0.12 * person.ear_size + 0.5 * person.ear_out
    high = 0.27 * person.ear_size
    soft = pixel / wide
    for sign in (-1.0, 1.0):
        u = sign * (0.97 * person.head_width + person.ear_out)
        v, z = 0.14 + 0.5 * person.eye_v, -0.12
        at_x = turn[0, 0] * u + turn[0, 1] * v + turn[0, 2] * z
        at_y = turn[1, 0] * u + turn[1, 1] * v + turn[1, 2] * z
        lean = (x - at_x) + sign * 0.12 * (y - at_y)
        radius = jnp.sqrt((lean / wide) ** 2 + ((y - at_y) / high) ** 2)
        here = step(radius, 1.0 + soft, 1.0 - soft)
        cover = jnp.maximum(cover, here)
        shade = shade - 0.25 * here * bump(radius, 0.55, 0.16)
    return [Layer(cover, person.skin, shade)]


def neck(
    person: Identity, capture: Capture, x: Array, y: Array, pixel: Array
) -> list[Layer]:
    """Paint neck and clothes."""
    turn = rotation(capture)
    half = 0.60 + 0.5 * person.jaw + 0.1 * (person.head_width - 1.0)
    beside = jnp.abs(x + 0.25 * turn[0, 2]) / half
    soft = pixel / half
    cover = step(beside, 1.0 + soft, 1.0 - soft) * step(y, 0.55, 0.6)
    under_chin = person.chin * turn[1, 1] + 0.3 * turn[1, 2]
    shade = 0.42 + 0.4 * step(y, under_chin + 0.1, under_chin + 0.75)
    shade = shade * (1.0 - 0.45 * jnp.clip(beside, 0.0, 1.0) ** 3)
    shoulder = person.chin + 0.42 + 0.28 * jnp.maximum(beside - 0.6, 0.0)
    clothes = step(y, shoulder - 2.0 * pixel, shoulder + 2.0 * pixel)
    return [Layer(cover, person.skin, shade), Layer(clothes, 0.8 * capture.clothes)]
