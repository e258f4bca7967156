"""The transform of five points: recovered exactly, the best there is, well refused."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.align import (
    LANDMARKS,
    TEMPLATES,
    check_landmarks,
    compose,
    similarity,
    template_named,
    transform,
)

FACE = TEMPLATES["arcface"].points


def turned(degrees, scale=1.0, shift=(0.0, 0.0)):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([scale * turn, shift])


@pytest.mark.parametrize("degrees", [0, 17, -75, 180])
@pytest.mark.parametrize("scale", [0.05, 1, 30])
def test_a_similarity_is_recovered(degrees, scale):
    rng = np.random.default_rng(0)
    points = rng.uniform(-100, 100, (5, 2))
    known = turned(degrees, scale, (251.5, -1234.5))
    found = similarity(points, transform(known, points))
    np.testing.assert_allclose(found, known, rtol=1e-12, atol=1e-11)


def test_no_other_similarity_is_closer():
    rng = np.random.default_rng(1)
    for _ in range(5):
        points = FACE + rng.normal(0, 6, FACE.shape)

        def off(four, points=points):
            a, b, x, y = four
            matrix = np.array([[a, -b, x], [b, a, y]])
            return (transform(matrix, points) - FACE).ravel()

        best = least_squares(off, (1, 0, 0, 0), xtol=1e-15, ftol=1e-15, gtol=1e-15).x
        found = similarity(points, FACE)
        np.testing.assert_allclose(found[0, 0], best[0], atol=1e-7)
        np.testing.assert_allclose(found[1, 0], best[1], atol=1e-7)
        np.testing.assert_allclose(found[:, 2], best[2:], atol=1e-5)


def test_it_is_umeyamas():
    """Equations 40 to 43 by the singular value decomposition, mirroring excluded."""
    rng = np.random.default_rng(2)
    for mirrored in (False, True):
        source = rng.normal(size=(5, 2))
        target = rng.normal(size=(5, 2)) + source * ((-1, 1) if mirrored else (1, 1))
        s, t = source - source.mean(0), target - target.mean(0)
        u, d, v = np.linalg.svd(t.T @ s / 5)
        sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
        scale = (d * sign).sum() / (s**2).sum() * 5
        turn = scale * (u * sign) @ v
        expected = np.column_stack([turn, target.mean(0) - turn @ source.mean(0)])
        np.testing.assert_allclose(similarity(source, target), expected, atol=1e-12)


def test_composition_is_one_after_the_other():
    first, second = turned(20, 1.5, (3, 4)), turned(-50, 0.3, (-7, 1))
    both = transform(second, transform(first, FACE))
    np.testing.assert_allclose(transform(compose(second, first), FACE), both)


def test_templates_are_the_published_ones():
    assert {name: tuple(t[:2]) for name, t in TEMPLATES.items()} == {
        "arcface": (112, 112),
        "narrow": (112, 96),
        "sphereface": (112, 96),
    }
    # Of insightface's arcface_dst, as printed in its sources.
    published = [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
    np.testing.assert_allclose(FACE, published, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        TEMPLATES["sphereface"].points, np.array(published) - (8, 0), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("size", "times", "margin"),
    [(112, 1, 0), (224, 2, 0), (128, 1, 8), (256, 2, 16), (896, 8, 0)],
)
def test_sizes_follow_insightface(size, times, margin):
    template = template_named("arcface", size)
    assert template[:2] == (size, size)
    np.testing.assert_allclose(template.points, FACE * times + (margin, 0))


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("vggface", None, "choose from arcface, narrow, sphereface"),
        ("arcface", 100, "a multiple of 112 or of 128"),
        ("arcface", 0, "a multiple of 112"),
        ("arcface", -112, "a multiple of 112"),
        ("narrow", 128, "a multiple of 112"),
    ],
)
def test_templates_that_are_not(name, size, told):
    with pytest.raises(InputError, match=told):
        template_named(name, size)


def test_templates_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        TEMPLATES["arcface"].points[0] = 0


def with_bad(landmark, value):
    points = FACE.copy()
    points[landmark, 0] = value
    return points


SWAPPED = FACE[[1, 0, 2, 4, 3]]


@pytest.mark.parametrize(
    ("points", "told"),
    [
        (FACE[:4], r"shape \(4, 2\)"),
        (FACE.ravel(), r"shape \(10,\)"),
        (with_bad(2, np.nan), "nose is not finite"),
        (with_bad(4, np.inf), "mouth_right is not finite"),
        (SWAPPED, "left eye .* is not left of the right"),
        (FACE[[3, 4, 2, 0, 1]], "mouth is not below the eyes"),
        (FACE[[0, 1, 0, 3, 4]], "left_eye and nose coincide"),
        (np.zeros((5, 2)), "coincide"),
        (np.outer(np.arange(5), [2, 1]), "on one line"),
        (np.outer(np.arange(5), [0.1, 0.3]) + 7, "on one line"),
    ],
)
def test_landmarks_of_no_face(points, told):
    with pytest.raises(InputError, match=told) as refused:
        check_landmarks(points)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("degrees", [-85, -40, 0, 60, 85])
def test_a_turned_face_is_a_face(degrees):
    check_landmarks(transform(turned(degrees, 3), FACE))


def test_landmarks_outside_the_picture():
    check_landmarks(FACE - 60, (112, 112))  # one or two are enough
    with pytest.raises(InputError, match="no landmark lies in the image of 30×40"):
        check_landmarks(FACE, (40, 30))


def test_points_that_fix_nothing():
    with pytest.raises(InputError, match="coincide"):
        similarity(np.ones((5, 2)), FACE)
    with pytest.raises(InputError, match=r"\(4, 2\) and \(5, 2\)"):
        similarity(FACE[:4], FACE)
    assert len(LANDMARKS) == len(FACE)
