"""The faces of ../shared come out exactly, from landmarks that round to the table's.

The table gives landmarks to 0.01 pixels, so a crop made from it differs from the face
in one sample of fifty, by one grey level. Somewhere within ±0.005 pixels lie landmarks
that give the face itself: a linear programme finds them, by a bilinear interpolation of
its own.
"""

import cv2
import numpy as np
import pytest
from scipy.optimize import linprog

from prefiqs_jax.images import decode
from prefiqs_jax.images.align import TEMPLATES, align, read_landmarks, similarity

NAME = "Arnold_Schwarzenegger_0002"
HALF_PX = 0.005 + 1e-4
POINTS = TEMPLATES["arcface"].points
MARGIN_PX = 100


def interpolated(padded, landmarks):
    """Interpolate the crop in float64, shape (112·112·3,)."""
    matrix = similarity(landmarks, POINTS)
    y, x = np.mgrid[0:112, 0:112]
    places = np.stack([x, y], -1).reshape(-1, 2) - matrix[:, 2]
    places = places @ np.linalg.inv(matrix[:, :2]).T + MARGIN_PX
    first = np.floor(places).astype(int)
    right, down = (places - first).T[..., None]
    x, y = first.T
    above = padded[y, x] * (1 - right) + padded[y, x + 1] * right
    below = padded[y + 1, x] * (1 - right) + padded[y + 1, x + 1] * right
    return (above * (1 - down) + below * down).ravel()


def step(padded, landmarks, face, table):
    """Move landmarks, within their rounding, to where all samples round to the face."""
    now = interpolated(padded, landmarks)
    nudge = 1e-4
    slopes = [
        (interpolated(padded, landmarks + nudge * unit.reshape(5, 2)) - now) / nudge
        for unit in np.eye(10)
    ]
    slopes, wanted = np.stack(slopes, 1), face.ravel() - now
    # Samples that no move of this size takes to another grey level constrain nothing.
    near = np.abs(wanted) + 2 * HALF_PX * np.abs(slopes).sum(1) > 0.5
    slopes, wanted, column = slopes[near], wanted[near], np.ones((near.sum(), 1))
    moved = (landmarks - table).ravel()
    found = linprog(
        np.append(np.zeros(10), 1),  # the largest excess over half a grey level
        A_ub=np.block([[slopes, -column], [-slopes, -column]]),
        b_ub=np.append(wanted, -wanted) + 0.5,
        bounds=[*((-HALF_PX - m, HALF_PX - m) for m in moved), (None, None)],
    )
    return landmarks + found.x[:10].reshape(5, 2)


@pytest.mark.skipif(
    int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 rounds places to 1/32 px"
)
def test_a_face_comes_out_exactly(shared):
    table = read_landmarks(shared("faces/lfw100/images.csv"))
    given = table.points[table.files.index(f"{NAME}.png")]
    face = decode(shared(f"faces/lfw100/{NAME}.png")).pixels
    source = decode(shared(f"faces/lfw100_source/{NAME}.jpg")).pixels
    around = ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX), (0, 0))
    padded = np.pad(source.astype(np.float64), around)
    landmarks = given
    for _ in range(2):
        landmarks = step(padded, landmarks, face, given)
    assert np.abs(landmarks - given).max() <= HALF_PX + 1e-12
    assert (align(source, given) != face).any()
    # A sample or two may lie on the edge between two grey levels.
    assert (align(source, landmarks) != face).mean() < 1e-4
