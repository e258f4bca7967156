"""Crops: against the faces of ../shared, against each other, against arithmetic."""

import csv
import sys

import cv2
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import decode
from prefiqs_jax.images.align import (
    ALIGNED,
    TEMPLATES,
    Misalignment,
    align,
    error_matrix,
    misaligned_crops,
    misalignments,
    read_landmarks,
    similarity,
    transform,
)

# OpenCV 4 rounds places to 1/32 of a pixel, OpenCV 5, which made the faces, does not.
EXACT = int(cv2.__version__.split(".")[0]) >= 5
FACE = TEMPLATES["arcface"].points


@pytest.fixture(scope="module")
def lfw(shared):
    """Give (source images, landmarks, aligned faces) of 20 of the 100 faces."""
    table = read_landmarks(shared("faces/lfw100/images.csv"))
    sources, faces = shared("faces/lfw100_source"), shared("faces/lfw100")
    chosen = range(0, 100, 5)
    names = [table.files[i] for i in chosen]
    return (
        [decode(sources / name.replace(".png", ".jpg")).pixels for name in names],
        table.points[chosen],
        np.stack([decode(faces / name).pixels for name in names]),
    )


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def test_lfw_is_reproduced(lfw):
    sources, landmarks, faces = lfw
    ours = np.stack([align(*each) for each in zip(sources, landmarks, strict=True)])
    off = np.abs(ours.astype(int) - faces)
    # What is left comes of the table's landmarks, which have two decimals.
    assert (off == 0).mean() > (0.975 if EXACT else 0.92)
    assert off.max() <= (1 if EXACT else 3)


def test_two_decimals_of_a_landmark_explain_what_is_left(lfw):
    sources, landmarks, faces = lfw
    rng = np.random.default_rng(0)
    differ, moved = [], []
    for source, points, face in zip(sources, landmarks, faces, strict=True):
        ours = align(source, points)
        nudged = align(source, points + rng.uniform(-0.005, 0.005, points.shape))
        differ.append((ours != face).mean())
        moved.append((ours != nudged).mean())
    if EXACT:
        assert 0.5 < np.mean(differ) / np.mean(moved) < 2


def test_a_shift_by_whole_pixels_copies_them():
    picture = noise(150, 140)
    crop = align(picture, np.add(FACE, (5, 9)))
    np.testing.assert_array_equal(crop, picture[9:121, 5:117])


def test_black_outside_the_picture():
    picture = np.full((112, 112, 3), 200, np.uint8)
    crop = align(picture, FACE - (0, 40))
    assert (crop[:40] == 0).all()
    assert (crop[40:] == 200).all()


def test_bilinear_interpolation():
    """An image that is linear in x and y is linear in the crop."""
    y, x = np.mgrid[0:200, 0:200]
    picture = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)
    rng = np.random.default_rng(3)
    points = FACE * 0.7 + (60, 50) + rng.normal(0, 1, FACE.shape)
    matrix = similarity(points, FACE)
    crop = align(picture, points)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    rows, columns = np.mgrid[0:112, 0:112]
    places = transform(back, np.stack([columns, rows], -1).reshape(-1, 2) * 1.0)
    for channel in (0, 1):
        expected = places[:, channel].reshape(112, 112)
        assert np.abs(crop[..., channel] - expected).max() < 0.5 + 1 / 32


def test_the_narrow_face_is_the_middle_of_the_wide_one():
    picture = noise(160, 160)
    points = FACE * 1.1 + (11.3, 7.7)
    wide, narrow = (align(picture, points, template=t) for t in ("arcface", "narrow"))
    assert narrow.shape == (112, 96, 3)
    off = np.abs(wide[:, 8:104].astype(int) - narrow)
    assert (off > 0).mean() < 1e-3  # places that differ by rounding alone
    np.testing.assert_array_equal(narrow, align(picture, points, template="sphereface"))


def test_sizes():
    picture = noise(300, 300)
    assert align(picture, FACE + 50, size=224).shape == (224, 224, 3)
    assert align(picture, FACE + 50, template="narrow", size=224).shape == (224, 192, 3)
    small, margins = (
        align(picture, np.add(FACE, (80, 90)), size=s) for s in (112, 128)
    )
    # 128 adds 8 columns on either side, and 16 rows below.
    np.testing.assert_array_equal(margins[:112, 8:120], small)


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (np.zeros((112, 112), np.uint8), "uint8, RGB"),
        (np.zeros((112, 112, 4), np.uint8), "uint8, RGB"),
        (np.zeros((112, 112, 3), np.float32), "float32"),
        (np.zeros((0, 112, 3), np.uint8), r"\(0, 112, 3\)"),
        (noise(20, 20), "no landmark lies in the image of 20×20"),
    ],
)
def test_pictures_that_cannot_be_aligned(picture, told):
    with pytest.raises(InputError, match=told):
        align(picture, FACE)


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="pip install opencv-python-headless"):
        align(noise(112, 112), FACE)


def test_any_memory_layout():
    picture = noise(150, 150)
    mirrored = picture[:, ::-1]
    crop = align(mirrored, FACE)
    np.testing.assert_array_equal(crop, align(mirrored.copy(), FACE))


def test_errors_go_the_way_they_say():
    template = TEMPLATES["arcface"]
    left, right, *_ = FACE

    def moved(kind, amount):
        return transform(error_matrix(Misalignment(kind, amount), template), FACE)

    np.testing.assert_allclose(moved("shift_x", 3) - FACE, [[3, 0]] * 5)
    np.testing.assert_allclose(moved("shift_y", -2) - FACE, [[0, -2]] * 5)
    along = moved("rotation", 90)[1] - moved("rotation", 90)[0]
    # Clockwise: the eye on the right goes down, where y is larger.
    np.testing.assert_allclose(along, [left[1] - right[1], right[0] - left[0]])
    larger = moved("scale", 1.5)
    np.testing.assert_allclose(np.ptp(larger, axis=0), 1.5 * np.ptp(FACE, axis=0))
    for kind, amount in (("rotation", 20), ("scale", 0.6)):
        np.testing.assert_allclose(moved(kind, amount).mean(0), FACE.mean(0))


def test_a_fitted_alignment_undoes_the_error():
    """Aligning by the landmarks as the crop shows them leads back to the template."""
    template = TEMPLATES["arcface"]
    for error in misalignments([4], [15], [0.8, 1.3]):
        shown = transform(error_matrix(error, template), FACE)
        np.testing.assert_allclose(
            transform(similarity(shown, FACE), shown), FACE, atol=1e-10
        )


def test_crops_with_errors_come_from_the_picture_in_one_step():
    picture = noise(200, 200)
    points = np.add(FACE, (40, 45))
    errors = [ALIGNED, Misalignment("shift_x", 7), Misalignment("shift_y", -50)]
    crops, over = misaligned_crops(picture, points, TEMPLATES["arcface"], errors)
    np.testing.assert_array_equal(crops[0], picture[45:157, 40:152])
    np.testing.assert_array_equal(crops[1], picture[45:157, 33:145])
    assert over == [False, False, True]
    again, over = misaligned_crops(crops[0], None, TEMPLATES["arcface"], errors[:2])
    assert (again[1, :, :7] == 0).all()  # what the aligned face does not have
    assert over == [False, True]
    with pytest.raises(InputError, match="200×200 pixels is not aligned to 96×112"):
        misaligned_crops(picture, None, TEMPLATES["narrow"], errors)


def test_misalignments():
    found = misalignments([2, 1], [5], [1.2, 1, 0.9])
    assert found[0] == ALIGNED
    assert [tuple(e) for e in found if e.kind == "shift_y"] == [
        ("shift_y", amount) for amount in (-2, -1, 1, 2)
    ]
    assert [e.amount for e in found if e.kind == "scale"] == [0.9, 1.2]
    for sizes in ([[0], [], []], [[], [-3], []], [[], [], [float("nan")]]):
        with pytest.raises(InputError, match="finite number above 0"):
            misalignments(*sizes)
    with pytest.raises(InputError, match="no error 'shear'"):
        error_matrix(Misalignment("shear", 1), TEMPLATES["arcface"])


def test_the_shared_table_has_the_documented_columns(shared):
    with shared("faces/att/images.csv").open() as file:
        columns = next(csv.reader(file))
    table = read_landmarks(shared("faces/att/images.csv"))
    assert len(table.files) == 380
    assert columns[2] == "left_eye_x"
    assert table.identities is not None
    assert len(set(table.identities)) == 38
