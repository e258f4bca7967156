"""From a person and a photograph's circumstances to pixels."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.synthetic import features, geometry, hair
from prefiqs_jax.images.synthetic.captures import Capture, draw_capture
from prefiqs_jax.images.synthetic.people import Identity, draw_identity
from prefiqs_jax.images.synthetic.soft import Layer, blob, paint, step, to_srgb

SIDE_PX = 112
# Images in a step. Larger ones fall out of a processor's cache: 64 at once take twice
# as long an image as 16.
_CHUNK = 16
# Of linear light: what a camera takes for grey, and how far it goes towards it.
_GREY, _METERING = 0.24, 0.7
LUMINANCE = (0.2126, 0.7152, 0.0722)


def faces(
    identity_keys: Array,
    capture_keys: Array,
    *,
    variation: float | Array = 1.0,
    side_px: int = SIDE_PX,
) -> Array:
    """Render photographs of synthetic people.

    Parameters
    ----------
    identity_keys
        Shape (batch,): the same key is the same person.
    capture_keys
        Shape (batch,): the same key is the same circumstances: pose, expression,
        light, background, camera.
    variation
        Spread of the circumstances: 0 is a passport photograph, 1 everyday life, and
        beyond it people get hard to tell.
    side_px
        Side of the images in pixels.

    Returns
    -------
    Array
        Shape (batch, side_px, side_px, 3), uint8, sRGB, aligned to the five-point
        ArcFace template. A function of the keys alone, whatever the batch.

    Raises
    ------
    InputError
        If there are not as many people as captures, or none.

    Examples
    --------
    >>> people = jax.random.split(jax.random.key(0), 2)
    >>> photographs = jax.random.split(jax.random.key(1), 2)
    >>> images = faces(people, photographs)
    >>> images.shape, images.dtype
    ((2, 112, 112, 3), dtype('uint8'))
    """

    def chunk(identity_keys: Array, capture_keys: Array) -> Array:
        people, captures = _draw(identity_keys, capture_keys, variation)
        return _render(people, captures, side_px)

    counts = len(identity_keys), len(capture_keys)
    return _in_chunks(chunk, (identity_keys, capture_keys), counts)


def render(people: Identity, captures: Capture, *, side_px: int = SIDE_PX) -> Array:
    """Photograph people.

    Parameters
    ----------
    people, captures
        Batches of the records that :func:`draw_identity` and :func:`draw_capture`
        give: every field has a leading axis. Change them by hand as you like.
    side_px
        Side of the images in pixels; the ArcFace template scales with it.

    Returns
    -------
    Array
        Shape (batch, side_px, side_px, 3), uint8, sRGB.

    Raises
    ------
    InputError
        If there are not as many people as captures, or none.

    Notes
    -----
    Call it outside ``jit``. Its stages are compiled one by one: as one program, XLA
    merges each stage into every use of its result and takes ten times as long on a CPU.
    """

    def chunk(people: Identity, captures: Capture) -> Array:
        return _render(people, captures, side_px)

    counts = len(people.skin), len(captures.yaw)
    return _in_chunks(chunk, (people, captures), counts)


def _in_chunks(
    make: Callable[..., Array], batch: tuple[Any, Any], counts: tuple[int, int]
) -> Array:
    """Make images in steps of one size: nothing compiles twice, whatever the batch.

    So an image is the same, bit for bit, alone and in any batch.
    """
    people, captures = counts
    if people == 0 or people != captures:
        message = (
            f"{people} people and {captures} captures; give as many of one as of the "
            "other, and at least one"
        )
        raise InputError(message)
    parts = []
    for start in range(0, people, _CHUNK):
        # The last image fills the last step.
        rows = np.minimum(np.arange(start, start + _CHUNK), people - 1)
        parts.append(make(*jax.tree.map(lambda field, rows=rows: field[rows], batch)))
    return jnp.concatenate(parts)[:people]


def _render(people: Identity, captures: Capture, side_px: int) -> Array:
    view = _see(people, captures, side_px)
    light = _light(people, captures, view, _mask(people, captures, view))
    return _photograph(captures, light, view.surface.cover)


@jax.jit
def _draw(
    identity_keys: Array, capture_keys: Array, variation: float | Array
) -> tuple[Identity, Capture]:
    captures = jax.vmap(lambda key: draw_capture(key, variation))(capture_keys)
    return jax.vmap(draw_identity)(identity_keys), captures


class _View(NamedTuple):
    """What a photograph's pixels see."""

    x: Array
    y: Array
    """Shape (height, width), head units, in the camera's frame."""
    pixel: Array
    """Size of a pixel in head units."""
    surface: geometry.Surface


class _Layers(NamedTuple):
    """What lies where in an image."""

    behind: list[Layer]
    """Beside the head and behind it."""
    head: list[Layer]
    bare: Array
    """Skin, not hair, (height, width)."""
    glossy: Array
    """Wet eyes and lips, (height, width)."""


@functools.partial(jax.jit, static_argnums=2)
def _see(people: Identity, captures: Capture, side_px: int) -> _View:
    def one(person: Identity, capture: Capture) -> _View:
        similarity = geometry.align(person, capture, side_px)
        x, y = geometry.grid(similarity, side_px)
        pixel = 1.0 / jnp.sqrt(similarity.a**2 + similarity.b**2)
        return _View(x, y, pixel, geometry.hit(person, capture, x, y, pixel))

    return jax.vmap(one)(people, captures)


@jax.jit
@jax.vmap
def _mask(person: Identity, capture: Capture, view: _View) -> _Layers:
    """Find where everything is; colours come later, so nothing is done thrice."""
    x, y, pixel, surface = view
    u, v = surface.u, surface.v
    streaks = hair.strands(person, capture, surface, x)
    lightness = 1.0 + person.hair_contrast * streaks
    back = hair.behind_head(person, capture, x, y, pixel)
    # Long hair falls in front of neck and ears at the sides.
    fallen = back * step(jnp.abs(x), 0.78, 0.95) * step(person.hair_length, 0.3, 0.5)
    behind = [
        Layer(back, person.hair, lightness * (0.45 + 0.35 * step(y, 0.6, -1.2))),
        *hair.neck(person, capture, x, y, pixel),
        *hair.ears(person, capture, x, y, pixel),
        Layer(fallen, person.hair, 0.75 * lightness),
    ]
    eyes, wet = features.eyes(person, capture, u, v, pixel)
    mouth, lips = features.mouth(person, capture, u, v, pixel)
    covered = hair.on_head(person, surface, streaks)
    shadow = 0.35 * blob(u, v, (0.0, 0.1 - person.hairline), (0.7, 0.09))
    head = [
        *features.skin(person, u, v),
        *features.nostrils(person, u, v),
        *features.beard(person, capture, u, v, streaks),
        *mouth,
        *eyes,
        *features.brows(person, capture, u, v),
        Layer(shadow, 0.2 * person.skin),
        Layer(covered, person.hair, lightness),
    ]
    return _Layers(behind, head, 1.0 - covered, jnp.maximum(lips, wet))


@jax.jit
@jax.vmap
def _light(person: Identity, capture: Capture, view: _View, layers: _Layers) -> Array:
    """Paint and light everything: linear light at the lens, (height, width, 3)."""
    background = _background(capture, view.x, view.y)
    unseen = jnp.ones_like(view.x)
    for layer in layers.behind:
        unseen = unseen * (1.0 - layer.cover)
    nx = jnp.clip(0.6 * view.x, -0.6, 0.6)
    lamp = _lamp(capture, nx, jnp.zeros_like(nx), jnp.sqrt(1.0 - nx**2))
    lit = paint(jnp.zeros_like(background), layers.behind) * lamp
    image = background * unseen[..., None] + lit

    nx, ny, nz = geometry.normals(view.surface.depth, view.pixel)
    skin = jnp.broadcast_to(person.skin[None, None], image.shape)
    face = paint(skin, layers.head) * _lamp(capture, nx, ny, nz)
    # A highlight half-way between lamp and camera (Blinn); wet eyes and lips shine.
    half = capture.light + jnp.array([0.0, 0.0, 1.0], jnp.float32)
    half = half / jnp.sqrt(jnp.sum(half**2))
    facing = jnp.maximum(nx * half[0] + ny * half[1] + nz * half[2], 0.0)
    gloss = 0.10 * facing**16 * layers.bare + 0.10 * facing**32 * layers.glossy
    gloss = gloss + 0.14 * (1.0 - layers.bare) * facing**8 * person.hair_contrast
    shine = gloss * (1.0 - capture.ambient)
    face = face + shine[..., None] * capture.light_colour[None, None]
    return image + view.surface.cover[..., None] * (face - image)


def _lamp(capture: Capture, nx: Array, ny: Array, nz: Array) -> Array:
    """Return the light that a surface of this normal gets, (height, width, 3)."""
    light = capture.light
    cosine = nx * light[0] + ny * light[1] + nz * light[2]
    # Light bleeds a little past the terminator, as it does in skin.
    direct = jnp.maximum((cosine + 0.25) / 1.25, 0.0)
    # More light from the sky than from the floor, less in grazing places.
    around = (0.85 - 0.25 * ny) * (0.55 + 0.45 * nz)
    total = capture.ambient * around + (1.0 - capture.ambient) * 1.25 * direct
    return total[..., None] * capture.light_colour[None, None]


def _background(capture: Capture, x: Array, y: Array) -> Array:
    """Return blurred things before a wall, (height, width, 3)."""
    mix = step(y, -1.4, 1.4)[..., None]
    top, bottom = capture.background[0], capture.background[1]
    wall = top[None, None] + mix * (bottom - top)[None, None]
    things = []
    for x_at, y_at, size, *colour in capture.blobs:
        spot = step(blob(x, y, (x_at, y_at), (size, size)), 0.25, 0.75)
        things.append(Layer(0.8 * spot, jnp.stack(colour)))
    return paint(wall, things)


@jax.jit
@jax.vmap
def _photograph(capture: Capture, linear: Array, face: Array) -> Array:
    """Expose, blur by the lens, add the sensor's noise, encode in 8 bits."""
    # Cameras meter on the face, and go most of the way to a medium grey.
    luminance = jnp.mean(linear @ jnp.array(LUMINANCE, jnp.float32) * face)
    metered = (_GREY / (luminance / jnp.mean(face))) ** _METERING
    sigma_px = capture.blur_px * (linear.shape[0] / SIDE_PX)
    light = linear * (metered * capture.exposure)
    light = _blur(_blur(light, sigma_px, 0), sigma_px, 1)
    noise = _noise(capture.noise_key, light.shape)
    # Shot noise grows with the root of the light.
    light = light + capture.noise * noise * jnp.sqrt(jnp.maximum(light, 0.0) + 0.02)
    code = to_srgb(jnp.clip(light, 0.0, 1.0))
    return jnp.round(255.0 * code).astype(jnp.uint8)


def _blur(image: Array, sigma_px: Array, axis: int) -> Array:
    """Blur along one axis with a Gaussian of up to about a pixel: five taps."""
    taps = [jnp.exp(-0.5 * (i / sigma_px) ** 2) for i in range(3)]
    total = taps[0] + 2.0 * (taps[1] + taps[2])
    widths = [(0, 0)] * 3
    widths[axis] = (2, 2)
    padded = jnp.pad(image, widths, mode="edge")
    side = image.shape[axis]
    parts = [
        jax.lax.slice_in_dim(padded, i, i + side, axis=axis) * taps[abs(i - 2)]
        for i in range(5)
    ]
    return sum(parts[1:], parts[0]) / total


def _noise(key: Array, shape: tuple[int, ...]) -> Array:
    """Return noise of mean 0 and variance 1, near enough to normal: four bytes' sum."""
    word = jax.random.bits(key, shape, jnp.uint32)
    total = sum((word >> shift) & 0xFF for shift in (8, 16, 24)) + (word & 0xFF)
    mean, deviation = 4 * 127.5, (4 * (256**2 - 1) / 12) ** 0.5
    return (total.astype(jnp.float32) - mean) / deviation
