"""The head as a surface, turned, aligned to the ArcFace template and hit by rays.

The head is an ellipsoid whose width follows jaw, cheekbones and temples, with a relief
of nose, brows, sockets, lips and chin along its own z axis. Parallax is real: every
pixel asks which point of the turned surface it sees.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from prefiqs_jax.images.geometry import TEMPLATES
from prefiqs_jax.images.synthetic.captures import Capture
from prefiqs_jax.images.synthetic.people import Identity
from prefiqs_jax.images.synthetic.soft import blob, bump, step

DEPTH = 1.12
"""Half the head from face to nape, in head units."""

_TEMPLATE = TEMPLATES["arcface"]


class Surface(NamedTuple):
    """What every pixel sees of the head; all of shape (height, width)."""

    u: Array
    v: Array
    z: Array
    """Head coordinates of the point seen."""
    depth: Array
    """Towards the camera."""
    cover: Array
    """1 on the head, 0 beside it."""
    radius: Array
    """1 on the outline of the head, less inside."""


class Similarity(NamedTuple):
    """(x, y) in head units goes to (a x - b y + x_px, b x + a y + y_px) in pixels."""

    a: Array
    b: Array
    x_px: Array
    y_px: Array


def rotation(capture: Capture) -> Array:
    """Return the matrix (3, 3) that takes head coordinates to the camera's."""
    cy, sy = jnp.cos(capture.yaw), jnp.sin(capture.yaw)
    cp, sp = jnp.cos(capture.pitch), jnp.sin(capture.pitch)
    zero, one = jnp.zeros_like(cy), jnp.ones_like(cy)
    yaw = jnp.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy]).reshape(3, 3)
    # v points down: looking down moves the face, at positive z, to larger v.
    pitch = jnp.stack([one, zero, zero, zero, cp, sp, zero, -sp, cp]).reshape(3, 3)
    return pitch @ yaw


def half_width(person: Identity, v: Array) -> Array:
    """Return the factor on the ellipsoid's width at height v."""
    profile = (
        1.0
        + person.temple * bump(v, -0.55, 0.3)
        + person.cheek * bump(v, 0.22, 0.26)
        + person.jaw * bump(v, 0.82, 0.26)
        + person.chin_width * bump(v, person.chin, 0.22)
    )
    return person.head_width * profile


def half_height(person: Identity, capture: Capture, v: Array) -> Array:
    """Return the half axis of the ellipsoid: of the crown above 0, the chin below."""
    chin = person.chin + 0.07 * capture.mouth_open
    return jnp.where(v < 0, person.crown, chin)


def relief(person: Identity, capture: Capture, u: Array, v: Array) -> Array:
    """Return how far the features stand out along the head's z axis."""
    tip = person.nose_v
    start = person.eye_v + 0.02
    along = jnp.clip((v - start) / (tip - start), 0.0, 1.0)
    widens = 0.62 * person.nose_width - person.bridge_width
    width = person.bridge_width + widens * (along**2)
    below = step(v, tip + 0.13, tip)
    nose = person.nose_depth * (0.16 + 0.84 * along * jnp.sqrt(along))
    nose = nose * bump(u, 0.0, width) * below * step(v, start - 0.25, start)
    wing_u = jnp.abs(u) - 0.72 * person.nose_width
    wings = 0.09 * blob(wing_u, v, (0.0, tip + 0.0), (0.05, 0.065))
    eye_u = jnp.abs(u) - person.eye_spacing
    socket_at = (-0.04, person.eye_v - 0.02)
    sockets = -person.socket * blob(eye_u, v, socket_at, (0.17, 0.11))
    balls = 0.035 * blob(eye_u, v, (0.0, person.eye_v), (0.11, 0.06))
    brow_v = person.eye_v - person.brow_gap
    brows = 0.055 * blob(eye_u, v, (0.0, brow_v), (0.24, 0.06))
    cheek_height = 0.05 + 0.05 * jnp.maximum(capture.smile, 0.0)
    cheeks = cheek_height * blob(jnp.abs(u), v, (0.5, tip - 0.03), (0.16, 0.15))
    mouth = 0.07 * blob(u, v, (0.0, person.mouth_v), (person.mouth_width, 0.12))
    groove = -0.045 * blob(u, v, (0.0, person.mouth_v + 0.17), (0.2, 0.05))
    chin = 0.09 * blob(u, v, (0.0, person.chin - 0.2), (0.19, 0.12))
    return nose + wings + sockets + balls + brows + cheeks + mouth + groove + chin


def surface_z(person: Identity, capture: Capture, u: Array, v: Array) -> Array:
    """Return z of the front of the head at (u, v)."""
    a, b = half_width(person, v), half_height(person, capture, v)
    inside = jnp.maximum(1.0 - (u / a) ** 2 - (v / b) ** 2, 0.0)
    return DEPTH * jnp.sqrt(inside) + relief(person, capture, u, v)


def mouth_line(person: Identity, capture: Capture, t: Array) -> Array:
    """Return v of the line between the lips; t is -1 and 1 at the corners."""
    lift = 0.11 * capture.smile - person.mouth_bow
    return person.mouth_v - lift * (t**2 - 0.35)


def mouth_half_width(person: Identity, capture: Capture) -> Array:
    """Return half the width of the mouth; a smile widens it."""
    return person.mouth_width * (
        1.0 + 0.22 * jnp.maximum(capture.smile, 0.0) - 0.12 * capture.mouth_open
    )


def landmarks(person: Identity, capture: Capture) -> Array:
    """Project the five landmarks: shape (5, 2), x and y in head units, before roll."""
    corner = mouth_half_width(person, capture)
    corner_v = mouth_line(person, capture, jnp.ones_like(corner))
    zero = jnp.zeros_like(corner)
    u = jnp.stack([-person.eye_spacing, person.eye_spacing, zero, -corner, corner])
    v = jnp.stack([person.eye_v, person.eye_v, person.nose_v, corner_v, corner_v])
    points = jnp.stack([u, v, surface_z(person, capture, u, v)])
    return (rotation(capture) @ points)[:2].T


def align(person: Identity, capture: Capture, side_px: int) -> Similarity:
    """Fit the similarity from head units to pixels that best meets the template.

    Least squares over the five landmarks (Umeyama 1991, as ArcFace's crops are made),
    then the roll, shift and scale that this photograph's alignment left over.
    """
    ratio = side_px / _TEMPLATE.height
    seen, wanted = landmarks(person, capture), jnp.array(_TEMPLATE.points, jnp.float32)
    wanted = wanted * ratio
    seen_at, wanted_at = seen.mean(axis=0), wanted.mean(axis=0)
    p, q = seen - seen_at[None], wanted - wanted_at[None]
    spread = jnp.sum(p**2)
    along = jnp.sum(p * q) / spread
    across = jnp.sum(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / spread
    cos, sin = jnp.cos(capture.roll), jnp.sin(capture.roll)
    a = capture.scale * (cos * along - sin * across)
    b = capture.scale * (sin * along + cos * across)
    x, y = seen_at[0], seen_at[1]
    offset = wanted_at + capture.shift * ratio
    return Similarity(a, b, offset[0] - a * x + b * y, offset[1] - b * x - a * y)


def grid(similarity: Similarity, side_px: int) -> tuple[Array, Array]:
    """Return x and y, in head units, of every pixel's centre."""
    a, b, x_px, y_px = similarity
    pixels = jnp.arange(side_px, dtype=jnp.float32)
    across = jnp.broadcast_to((pixels - x_px)[None, :], (side_px, side_px))
    down = jnp.broadcast_to((pixels - y_px)[:, None], (side_px, side_px))
    size = a**2 + b**2
    return (a * across + b * down) / size, (a * down - b * across) / size


def hit(
    person: Identity, capture: Capture, x: Array, y: Array, pixel: Array
) -> Surface:
    """Find the point of the head behind every pixel.

    Pixels are at x and y, (height, width), in head units in the camera's frame; the
    size of one, in head units, sets the softness of the outline.
    """
    turn = rotation(capture)

    def once(_: Array | int, found: tuple[Array, ...]) -> tuple[Array, ...]:
        lifted, v = found[0], found[2]
        across = x - lifted * turn[0, 2]
        down = y - lifted * turn[1, 2]
        u, v, z, radius = _ellipsoid(person, capture, turn, across, down, v)
        lifted = relief(person, capture, u, v) * step(z, -0.1, 0.35)
        return lifted, u, v, z, radius

    # Three rounds: the relief shifts the ray, the height sets the width. The last
    # correction is below a tenth of a pixel except behind the nose's own outline.
    zero = jnp.zeros_like(x)
    found = jax.lax.fori_loop(0, 3, once, (zero, zero, y, zero, zero))
    lifted, u, v, z, radius = found
    depth = turn[2, 0] * u + turn[2, 1] * v + turn[2, 2] * (z + lifted)
    cover = jnp.clip(0.5 + (1.0 - radius) * person.head_width / pixel, 0.0, 1.0)
    return Surface(u, v, z, depth, cover, radius)


def _ellipsoid(
    person: Identity, capture: Capture, turn: Array, x: Array, y: Array, v: Array
) -> tuple[Array, Array, Array, Array]:
    """Hit the ellipsoid whose axes are those at height v."""
    scale = (half_width(person, v), half_height(person, capture, v), DEPTH)
    # A point of the ray is origin + depth · direction, both in head coordinates.
    origin = [turn[0, i] * x + turn[1, i] * y for i in range(3)]
    direction = [turn[2, i] for i in range(3)]
    o = [part / s for part, s in zip(origin, scale, strict=True)]
    d = [part / s for part, s in zip(direction, scale, strict=True)]
    dd = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    od = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    oo = o[0] * o[0] + o[1] * o[1] + o[2] * o[2]
    # Squared distance of the ray from the centre, in the frame where it is a ball.
    miss = oo - od**2 / dd
    depth = (jnp.sqrt(jnp.maximum(1.0 - miss, 0.0) / dd)) - od / dd
    u, v, z = (a + depth * b for a, b in zip(origin, direction, strict=True))
    return u, v, z, jnp.sqrt(jnp.maximum(miss, 1e-6))


def normals(depth: Array, pixel: Array) -> tuple[Array, Array, Array]:
    """Return the unit normal of every pixel from the depth's differences."""
    down, across = jnp.gradient(depth)
    nx, ny = -across / pixel, -down / pixel
    length = jnp.sqrt(nx**2 + ny**2 + 1.0)
    return nx / length, ny / length, 1.0 / length
