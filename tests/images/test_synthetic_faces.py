"""The renderer: deterministic, aligned, with parallax; people differ, captures vary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.geometry import TEMPLATES
from prefiqs_jax.images.synthetic import (
    SIDE_PX,
    draw_capture,
    draw_identity,
    faces,
    geometry,
    render,
)


def keys(seed, count):
    return jax.random.split(jax.random.key(seed), count)


@pytest.fixture(scope="module")
def portraits():
    """Give images of six people, four photographs each."""
    people, photographs = keys(0, 6), keys(1, 24)
    pictures = faces(people[np.repeat(np.arange(6), 4)], photographs)
    return np.asarray(pictures).reshape(6, 4, SIDE_PX, SIDE_PX, 3)


def stack(draw, keys, *arguments):
    return jax.jit(jax.vmap(lambda key: draw(key, *arguments)))(keys)


def one(draw, seed, *arguments):
    return jax.tree.map(lambda field: field[0], stack(draw, keys(seed, 1), *arguments))


@pytest.mark.slow
def test_pictures_are_of_the_kind_that_backbones_take(portraits):
    assert portraits.dtype == np.uint8
    assert portraits.min() < 40
    assert portraits.max() > 200


@pytest.mark.slow
def test_same_keys_give_the_same_picture_in_any_batch(portraits):
    person, photograph = keys(0, 6)[2:3], keys(1, 24)[9:10]
    alone = np.asarray(faces(person, photograph))[0]
    np.testing.assert_array_equal(alone, portraits[2, 1])


@pytest.mark.slow
def test_more_pictures_than_a_step_holds_stay_in_order():
    people, photographs = keys(3, 19), keys(4, 19)
    pictures = np.asarray(faces(people, photographs))
    last = np.asarray(faces(people[3:], photographs[3:]))
    np.testing.assert_array_equal(pictures[3:], last)


@pytest.mark.slow
def test_photographs_of_a_person_differ_less_than_people(portraits):
    # Passport photographs in one light: what is left are the people.
    people, photographs = keys(5, 12), keys(6, 24)
    index = np.repeat(np.arange(12), 2)
    pictures = np.asarray(faces(people[index], photographs, variation=0.0))
    middle = pictures[:, 40:100, 25:87].astype(float).reshape(12, 2, -1)
    within = np.abs(middle[:, 0] - middle[:, 1]).mean()
    between = np.abs(middle[:-1, 0] - middle[1:, 0]).mean()
    assert between > 5 * within
    # And everyday photographs of one person do differ.
    everyday = portraits[:, :, 40:100, 25:87].astype(float)
    assert np.abs(everyday[:, 0] - everyday[:, 1]).mean() > 2 * within


@pytest.mark.slow
def test_landmarks_meet_the_template():
    people = stack(draw_identity, keys(7, 64))
    captures = stack(draw_capture, keys(8, 64), 0.0)

    def in_pixels(person, capture):
        a, b, x_px, y_px = geometry.align(person, capture, SIDE_PX)
        x, y = geometry.landmarks(person, capture).T
        return jnp.stack([a * x - b * y + x_px, b * x + a * y + y_px], axis=1)

    found = np.asarray(jax.jit(jax.vmap(in_pixels))(people, captures))
    template = TEMPLATES["arcface"].points
    # People differ from the template as its own examples do, but not on average.
    assert np.abs(found.mean(axis=0) - template).max() < 3.0
    assert np.abs(found - template).max() < 12.0
    # The best similarity leaves no shift.
    np.testing.assert_allclose(
        found.mean(axis=1), np.broadcast_to(template.mean(axis=0), (64, 2)), atol=1e-3
    )


@pytest.mark.slow
def test_alignment_is_the_least_squares_similarity():
    person, capture = one(draw_identity, 9), one(draw_capture, 10, 0.0)
    landmarks = jax.jit(geometry.landmarks)(person, capture)
    points = np.asarray(landmarks, np.float64)
    # An independent solution: four unknowns, ten equations.
    x, y = points.T
    ones, zeros = np.ones(5), np.zeros(5)
    rows = np.concatenate(
        [np.stack([x, -y, ones, zeros], axis=1), np.stack([y, x, zeros, ones], axis=1)]
    )
    template = TEMPLATES["arcface"].points
    wanted, *_ = np.linalg.lstsq(rows, template.T.ravel(), rcond=None)
    found = jax.jit(geometry.align, static_argnums=2)(person, capture, SIDE_PX)
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-4)


@pytest.mark.slow
def test_turning_moves_the_nose_against_the_eyes():
    person, straight = one(draw_identity, 11), one(draw_capture, 12, 0.0)
    turned = straight._replace(yaw=jnp.float32(0.4))

    def nose_between_eyes(capture):
        points = jax.jit(geometry.landmarks)(person, capture)
        left, right, nose = np.asarray(points)[:3, 0]
        return (nose - left) / (right - left)

    assert nose_between_eyes(straight) == pytest.approx(0.5, abs=1e-6)
    assert nose_between_eyes(turned) > 0.65
    assert nose_between_eyes(straight._replace(yaw=jnp.float32(-0.4))) < 0.35


@pytest.mark.slow
def test_a_pixel_sees_the_point_that_projects_to_it():
    person = one(draw_identity, 13)
    capture = one(draw_capture, 14, 0.0)._replace(
        yaw=jnp.float32(0.3), pitch=jnp.float32(0.1)
    )
    similarity = geometry.align(person, capture, SIDE_PX)
    x, y = geometry.grid(similarity, SIDE_PX)
    surface = geometry.hit(person, capture, x, y, jnp.float32(0.024))
    turn = np.asarray(geometry.rotation(capture))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    lift = geometry.relief(person, capture, surface.u, surface.v)
    points = np.stack([surface.u, surface.v, surface.z + lift])
    back = np.einsum("ij,jhw->ihw", turn, points)
    error = np.hypot(back[0] - x, back[1] - y)
    inner = np.asarray((surface.radius < 0.9) & (surface.z > 0.4))
    assert inner.mean() > 0.2
    # A tenth of a pixel; more only where the nose hides what is behind it.
    assert np.quantile(error[inner], 0.9) < 0.0024


@pytest.mark.slow
def test_variation_widens_the_captures():
    def spread(variation):
        captures = stack(draw_capture, keys(15, 400), variation)
        return np.std(np.rad2deg(captures.yaw)), np.std(np.log(captures.exposure))

    none, everyday, wild = spread(0.0), spread(1.0), spread(2.0)
    assert none == (0.0, 0.0)
    assert 10 < everyday[0] < 18  # degrees
    np.testing.assert_allclose(wild, np.multiply(2, everyday), rtol=1e-4)


@pytest.mark.slow
def test_another_size_shows_the_same_face():
    side_px = 56
    person, photograph = keys(16, 1), keys(17, 1)
    large = np.asarray(faces(person, photograph))[0].astype(float)
    other = np.asarray(faces(person, photograph, side_px=side_px))[0].astype(float)
    assert other.shape == (side_px, side_px, 3)

    # Means of a grid of eight by eight: the same image, finer or coarser.
    def coarse(picture):
        parts = np.array_split(picture, 8)
        return np.array(
            [[b.mean() for b in np.array_split(p, 8, axis=1)] for p in parts]
        )

    assert np.abs(coarse(large) - coarse(other)).max() < 12


@pytest.mark.slow
def test_a_changed_record_changes_only_what_it_says():
    person = stack(draw_identity, keys(18, 1))
    capture = stack(draw_capture, keys(19, 1), 0.0)
    before = np.asarray(render(person, capture))[0].astype(int)
    bearded = person._replace(beard=jnp.ones(1, jnp.float32))
    changed = np.abs(np.asarray(render(bearded, capture))[0].astype(int) - before)
    assert changed[90:, 30:82].max() > 20
    # Elsewhere only the camera's metering, which sees a darker face.
    assert changed[:50].mean() < 0.2 * changed[90:, 30:82].mean()


def test_unequal_counts_are_refused():
    with pytest.raises(InputError, match="2 people and 3 captures"):
        faces(keys(0, 2), keys(1, 3))
    with pytest.raises(InputError, match="at least one"):
        faces(keys(0, 2)[:0], keys(1, 2)[:0])
