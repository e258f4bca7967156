"""Errors of an alignment, of known kind and size, and the crops that have them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.geometry.crop import warp
from prefiqs_jax.images.geometry.similarity import (
    Matrix,
    compose,
    similarity,
    transform,
)
from prefiqs_jax.images.geometry.templates import Template

# A corner may lie this far outside by rounding alone.
_ROUNDING_PX = 1e-6


class Misalignment(NamedTuple):
    """One error of an alignment."""

    kind: str
    """``shift_x``: the face lies `amount` pixels of the crop further to the right.
    ``shift_y``: further down. ``rotation``: it is turned clockwise by `amount` degrees.
    ``scale``: it is `amount` times as large. ``aligned``: none."""
    amount: float


ALIGNED = Misalignment("aligned", 0.0)


def misalignments(
    shifts_px: Sequence[float], rotations: Sequence[float], scales: Sequence[float]
) -> list[Misalignment]:
    """List the errors of some sizes, after :data:`ALIGNED`; no combinations.

    Parameters
    ----------
    shifts_px
        In pixels of the crop, above 0; to the right, left, down and up.
    rotations
        In degrees, above 0; clockwise and counter-clockwise.
    scales
        Factors above 0.

    Returns
    -------
    list of Misalignment
        By kind, each ascending.

    Raises
    ------
    InputError
        If a size is out of range.

    Examples
    --------
    >>> [amount for _, amount in misalignments([], [5, 10], [0.9])]
    [0.0, -10, -5, 5, 10, 0.9]
    """
    given = {"shift": shifts_px, "rotation": rotations, "scale": scales}
    for name, values in given.items():
        for value in values:
            if not (math.isfinite(value) and value > 0):
                message = f"{name} {value:g} is not a finite number above 0"
                raise InputError(message)
    both = {"shift_x": shifts_px, "shift_y": shifts_px, "rotation": rotations}
    found = [
        Misalignment(kind, amount)
        for kind, sizes in both.items()
        for amount in sorted({sign * size for size in sizes for sign in (-1, 1)})
    ]
    scaled = [Misalignment("scale", each) for each in sorted({*scales} - {1})]
    return [ALIGNED, *found, *scaled]


def error_matrix(error: Misalignment, template: Template) -> Matrix:
    """Make the transform from the aligned crop to the one with an error.

    Parameters
    ----------
    error
        Kind and amount.
    template
        Template of the crop. Rotation and scale are about the mean of its five points,
        which a least-squares alignment keeps in place.

    Returns
    -------
    ndarray
        Shape (2, 3), in pixels of the crop.

    Raises
    ------
    InputError
        If there is no such kind.

    Examples
    --------
    >>> from prefiqs_jax.images.geometry import template_named
    >>> error_matrix(Misalignment("shift_x", 3), template_named("arcface"))
    array([[1., 0., 3.],
           [0., 1., 0.]])
    """
    kind, amount = error
    shift = np.zeros(2)
    turn = np.eye(2)
    if kind == "scale":
        turn = amount * turn
    elif kind == "rotation":
        sine, cosine = math.sin(math.radians(amount)), math.cos(math.radians(amount))
        # y points down, so this is clockwise for who looks at the image.
        turn = np.array([[cosine, -sine], [sine, cosine]])
    elif kind in ("shift_x", "shift_y"):
        shift[int(kind == "shift_y")] = amount
    elif kind != "aligned":
        message = (
            f"there is no error {kind!r}; choose shift_x, shift_y, rotation or scale"
        )
        raise InputError(message)
    middle = template.points.mean(axis=0)
    return np.column_stack([turn, shift + middle - turn @ middle])


def misaligned_crops(
    pixels: UInt8[np.ndarray, "height width 3"],
    landmarks: Float[np.ndarray, "5 2"] | None,
    template: Template,
    errors: Sequence[Misalignment],
) -> tuple[UInt8[np.ndarray, "errors rows columns 3"], list[bool]]:
    """Cut one face with each error, in one step from the image.

    Nothing is interpolated twice, and no border appears where the image goes on.

    Parameters
    ----------
    pixels
        Shape (height, width, 3), uint8, RGB.
    landmarks
        Landmarks, shape (5, 2), in pixels of the image; None for an image that is
        aligned already, which the errors are then cut from.
    template
        Template of the crops.
    errors
        Kinds and amounts.

    Returns
    -------
    crops
        Shape (errors, height, width, 3), uint8.
    over_the_edge
        Whether each crop reaches over the edge of the image and so has black in it.

    Raises
    ------
    InputError
        If an image without landmarks has not the size of the template.
    """
    aligned = np.eye(2, 3)
    if landmarks is not None:
        aligned = similarity(landmarks, template.points)
    elif pixels.shape[:2] != template[:2]:
        message = (
            f"an image of {pixels.shape[1]}×{pixels.shape[0]} pixels is not aligned "
            f"to {template.width}×{template.height} (width×height); give its landmarks"
        )
        raise InputError(message)
    matrices = [compose(error_matrix(error, template), aligned) for error in errors]
    height, width = template[:2]
    crops = [warp(pixels, matrix, height, width) for matrix in matrices]
    over = [_reaches_over(matrix, pixels, template) for matrix in matrices]
    return np.stack(crops), over


def _reaches_over(matrix: Matrix, pixels: np.ndarray, template: Template) -> bool:
    right, bottom = template.width - 1, template.height - 1
    corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float64)
    back = np.linalg.inv(matrix[:, :2])
    places = transform(np.column_stack([back, -back @ matrix[:, 2]]), corners)
    last = np.array([pixels.shape[1] - 1, pixels.shape[0] - 1])
    return bool(((places < -_ROUNDING_PX) | (places > last + _ROUNDING_PX)).any())
