"""Eyes, brows, nose, mouth, skin and beard: layers in head coordinates."""

import jax.numpy as jnp
from jax import Array

from prefiqs_jax.images.synthetic.captures import Capture
from prefiqs_jax.images.synthetic.geometry import mouth_half_width, mouth_line
from prefiqs_jax.images.synthetic.people import Identity
from prefiqs_jax.images.synthetic.soft import Layer, blob, bump, ripple, step


def _colour(*rgb: float) -> Array:
    return jnp.array(rgb, jnp.float32)


def skin(person: Identity, u: Array, v: Array) -> list[Layer]:
    """Paint what lies on the bare skin: flush, shadows, folds, freckles, moles."""
    side = jnp.abs(u)
    cheeks = blob(side, v, (0.52, person.nose_v), (0.2, 0.17))
    nose = blob(u, v, (0.0, person.nose_v), (0.16, 0.11))
    flush = (0.2 + 0.45 * person.blush) * (cheeks + 0.6 * nose)
    under = blob(
        side - person.eye_spacing, v, (-0.02, person.eye_v + 0.15), (0.15, 0.05)
    )
    # Lines from the wings of the nose to the corners of the mouth.
    t = (v - person.nose_v) / (person.mouth_v - person.nose_v)
    reach = 0.6 * (person.mouth_width - person.nose_width + 0.08)
    fold_u = person.nose_width + 0.02 + reach * jnp.clip(t, 0.0, 1.0)
    fold = bump(side, fold_u, 0.03) * step(t, -0.15, 0.2) * step(t, 1.1, 0.7)
    shadow = person.skin * _colour(0.70, 0.60, 0.62)
    spots = jnp.sin(37.0 * u + 5.0 * jnp.sin(23.0 * v)) * jnp.sin(
        41.0 * v + 4.0 * jnp.sin(29.0 * u)
    )
    middle = blob(u, v, (0.0, person.nose_v - 0.15), (0.42, 0.2))
    freckles = person.freckles * middle * step(spots, 0.45, 0.85)
    moles = jnp.zeros_like(u)
    for i in range(person.moles.shape[0]):
        at = (person.moles[i, 0], person.moles[i, 1])
        spot = step(blob(u, v, at, (0.026, 0.026)), 0.3, 0.8)
        moles = jnp.maximum(moles, person.moles[i, 2] * spot)
    return [
        Layer(flush, person.skin * _colour(1.0, 0.66, 0.64)),
        Layer(person.folds * (0.6 * under + 0.5 * fold), shadow),
        Layer(freckles, person.skin * _colour(0.62, 0.42, 0.34)),
        Layer(moles, person.skin * _colour(0.26, 0.18, 0.16)),
    ]


def nostrils(person: Identity, u: Array, v: Array) -> list[Layer]:
    """Paint the nostrils and the shadow beside the wings."""
    at = (0.45 * person.nose_width, person.nose_v + 0.105)
    hole = blob(jnp.abs(u), v, at, (0.30 * person.nose_width, 0.026))
    wing_at = (1.12 * person.nose_width, person.nose_v + 0.03)
    wing = blob(jnp.abs(u), v, wing_at, (0.025, 0.07))
    return [
        Layer(
            0.9 * person.nostril * step(hole, 0.15, 0.8),
            person.skin * _colour(0.16, 0.10, 0.09),
        ),
        Layer(0.6 * wing, person.skin * _colour(0.5, 0.38, 0.36)),
    ]


def beard(
    person: Identity, capture: Capture, u: Array, v: Array, streaks: Array
) -> list[Layer]:
    """Paint moustache and beard; the upper edge runs from the ears to the mouth."""
    t = u / mouth_half_width(person, capture)
    line = mouth_line(person, capture, t)
    side = jnp.abs(u)
    cheek = person.mouth_v + 0.10 - 0.75 * jnp.maximum(side - 0.42, 0.0)
    ragged = 0.035 * streaks
    lower = step(v, cheek - 0.05 + ragged, cheek + 0.12 + ragged)
    lip_v = 0.5 * (person.nose_v + person.mouth_v) + 0.07
    moustache = bump(v, lip_v + 0.07 * t**2, 0.06) * step(jnp.abs(t), 1.3, 0.85)
    # From the moustache's ends down to the chin.
    goatee = bump(jnp.abs(t), 1.15, 0.14) * step(v, lip_v, lip_v + 0.1)
    lower = jnp.maximum(lower, 0.9 * goatee)
    mouth = blob(t, v - line, (0.0, 0.03), (0.7, 0.085))
    cover = 0.85 * person.beard * lower * (1.0 - step(mouth, 0.25, 0.7))
    cover = jnp.maximum(cover, 0.9 * person.moustache * moustache)
    hair = 0.8 * person.hair + 0.08 * person.skin
    return [Layer(cover * (0.88 + 0.12 * streaks), hair, 0.85 + 0.15 * streaks)]


def eyes(
    person: Identity, capture: Capture, u: Array, v: Array, pixel: Array
) -> tuple[list[Layer], Array]:
    """Paint both eyes with lids and lashes; give the layers, and where eyes are wet."""
    side = jnp.where(u < 0, -1.0, 1.0).astype(u.dtype)
    out, down = jnp.abs(u) - person.eye_spacing, v - person.eye_v
    cos, sin = jnp.cos(person.eye_tilt), jnp.sin(person.eye_tilt)
    along, across = cos * out - sin * down, sin * out + cos * down
    t = along / person.eye_width
    arch = jnp.maximum(1.0 - t**2, 0.0)
    smile = jnp.maximum(capture.smile, 0.0)
    upper = -person.eye_height * capture.eyes_open * jnp.sqrt(arch) * (0.6 + 0.4 * arch)
    lower = person.eye_height * (0.62 - 0.25 * smile) * arch
    soft = 0.9 * pixel
    ends = step(jnp.abs(t), 1.08, 0.92)
    wet = step(across, upper - soft, upper + soft) * (
        step(across, lower + soft, lower - soft) * ends
    )
    crease_v = upper - 0.055 - 0.03 * person.crease
    crease = bump(across, crease_v, 0.018) * step(jnp.abs(t), 1.2, 0.7)
    lid = blob(along, across, (0.0, -0.5 * person.eye_height), (0.19, 0.075))
    at_u, at_v = 0.05 * capture.gaze[0] * side, 0.025 * capture.gaze[1] - 0.012
    distance = jnp.sqrt((along - at_u) ** 2 + (across - at_v) ** 2)
    size = person.iris_size
    disc = step(distance, size + soft, size - soft)
    pupil = 0.42 * size
    hole = step(distance, pupil + 0.8 * soft, pupil - 0.8 * soft)
    glint_u = along - at_u - 0.03 * side * capture.light[0]
    glint = blob(glint_u, across, (0.0, at_v - 0.028), (0.017, 0.017))
    lash = bump(across, upper, 0.021) * ends
    shadow = bump(across, upper + 0.03, 0.03) * wet
    under = bump(across, lower + 0.008, 0.014) * ends
    tone = person.skin
    layers = [
        Layer((0.35 + 0.4 * person.crease) * crease, tone * _colour(0.42, 0.34, 0.33)),
        Layer(0.4 * lid, tone * _colour(0.72, 0.64, 0.64)),
        Layer(wet, _colour(0.46, 0.44, 0.42), 0.75 + 0.25 * arch),
        Layer(wet * disc, person.iris, 1.0 - 0.55 * step(distance, 0.6 * size, size)),
        Layer(wet * hole, _colour(0.012, 0.010, 0.010)),
        Layer(0.85 * wet * glint, _colour(0.9, 0.9, 0.9)),
        Layer(0.45 * shadow, 0.25 * tone),
        Layer(0.85 * lash, 0.18 * tone),
        Layer(0.45 * under, 0.45 * tone),
    ]
    return layers, wet


def brows(person: Identity, capture: Capture, u: Array, v: Array) -> list[Layer]:
    """Paint both brows."""
    t = jnp.clip((jnp.abs(u) - person.brow_inner) / person.brow_length, -0.5, 1.5)
    rise = person.brow_tilt * 0.5 * (t - 0.5)
    rise = rise + person.brow_arch * (1.0 - (2.0 * t - 1.0) ** 2)
    raised = 0.045 * capture.brow_raise
    centre = person.eye_v - person.brow_gap - raised - rise
    thickness = person.brow_thickness * (1.15 - 0.75 * jnp.clip(t, 0.0, 1.0))
    stroke = jnp.exp(-(((v - centre) / (1.2 * thickness)) ** 4))
    ends = step(t, -0.1, 0.1) * step(t, 1.1, 0.8)
    # Two waves only: a brow is a few pixels thick.
    strands = ripple(v - centre, jnp.abs(u) + 0.6 * v, 1.6 * person.hair_waves[:2])
    cover = person.brow_density * stroke * ends * (0.85 + 0.15 * strands)
    colour = 0.6 * person.hair + 0.12 * person.skin
    return [Layer(jnp.clip(cover, 0.0, 1.0), colour)]


def mouth(
    person: Identity, capture: Capture, u: Array, v: Array, pixel: Array
) -> tuple[list[Layer], Array]:
    """Paint lips, teeth and the inside of the mouth; give the layers, and the lips."""
    t = u / mouth_half_width(person, capture)
    arch = jnp.maximum(1.0 - t**2, 0.0)
    root = jnp.sqrt(arch)
    line = mouth_line(person, capture, t)
    soft = 0.9 * pixel
    smile = jnp.maximum(capture.smile, 0.0)
    thin = 1.0 - 0.25 * smile
    opened = 0.20 * capture.mouth_open + 0.035 * jnp.maximum(smile - 0.35, 0.0)
    top, bottom = line - 0.25 * opened * arch, line + 0.75 * opened * arch
    notch = 1.0 - person.cupid * bump(t, 0.0, 0.16)
    peaks = 0.75 + 0.35 * bump(jnp.abs(t), 0.28, 0.3)
    full = 0.5 * (arch + root)
    upper_edge = top - 1.25 * person.upper_lip * thin * full * notch * peaks
    lower_edge = bottom + 1.15 * person.lower_lip * thin * (0.3 * arch + 0.7 * root)
    ends = step(jnp.abs(t), 1.06, 0.94)
    lips = step(v, upper_edge - soft, upper_edge + soft) * (
        step(v, lower_edge + soft, lower_edge - soft) * ends
    )
    upper = step(v, line + soft, line - soft)
    gap = step(v, top - soft, top + soft) * step(v, bottom + soft, bottom - soft) * ends
    gap = gap * step(opened * arch, 0.0, 0.04)
    teeth = gap * step(v, top + 0.10, top + 0.07) * step(arch, 0.05, 0.4)
    closed = bump(v, line, 0.014) * ends * step(opened * arch, 0.05, 0.0)
    corner = blob(jnp.abs(t), v, (1.0, line), (0.07, 0.025))
    layers = [
        Layer(0.85 * lips, person.lips, 1.0 - 0.22 * upper),
        Layer(gap, _colour(0.09, 0.018, 0.020)),
        Layer(0.9 * teeth, _colour(0.52, 0.50, 0.44)),
        Layer(0.8 * closed, 0.28 * person.lips),
        Layer(0.6 * corner, 0.35 * person.skin),
    ]
    return layers, lips
