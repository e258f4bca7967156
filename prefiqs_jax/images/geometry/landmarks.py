"""Whether five points can be the landmarks of an upright face in an image."""

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.geometry.templates import LANDMARKS

_THINNEST = 1e-6
_ORDER = "give them as " + ", ".join(LANDMARKS) + ", as seen in the image"


def check_landmarks(landmarks: np.ndarray, size: tuple[int, ...] | None = None) -> None:
    """Refuse landmarks that no upright face has.

    Parameters
    ----------
    landmarks
        Shape (5, 2): x and y in pixels, in the order of
        :data:`~prefiqs_jax.images.geometry.LANDMARKS`.
    size
        (height, width) of the image, if known: at least one landmark must lie in it.

    Raises
    ------
    InputError
        If they have another shape, are not finite, coincide, lie on one line, are in
        another order, or all lie outside the image.

    Notes
    -----
    The left eye must be left of the right one in the image, and the mouth below the
    line through the eyes, however a face is turned by less than 90°.
    """
    points = np.asarray(landmarks, np.float64)
    if message := _why_not(points, size):
        raise InputError(message)


def _why_not(points: np.ndarray, size: tuple[int, ...] | None) -> str:
    """Say why an upright face cannot have these landmarks; else nothing."""
    if points.shape != (len(LANDMARKS), 2):
        return f"landmarks have shape {points.shape}; give x and y of five points"
    if not np.isfinite(points).all():
        which = LANDMARKS[int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])]
        return f"landmark {which} is not finite; give x and y of five points"
    for later, earlier in zip(*np.tril_indices(len(points), -1), strict=True):
        x, y = points[later]
        if (points[later] == points[earlier]).all():
            return (
                f"landmarks {LANDMARKS[earlier]} and {LANDMARKS[later]} coincide "
                f"at ({x:g}, {y:g}); give five different points"
            )
    longest, thinnest = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if thinnest <= _THINNEST * longest:
        return "the five landmarks lie on one line; give those of a face"
    left, right = points[0], points[1]
    if left[0] >= right[0]:
        return (
            f"the left eye (x = {left[0]:g}) is not left of the right one (x = "
            f"{right[0]:g}); {_ORDER}"
        )
    along, down = right - left, points[3:].mean(axis=0) - (left + right) / 2
    if along[0] * down[1] - along[1] * down[0] <= 0:
        return f"the mouth is not below the eyes; {_ORDER}"
    if size is not None:
        height, width = size
        inside = (points >= -0.5) & (points <= (width - 0.5, height - 0.5))
        if not inside.all(axis=1).any():
            return (
                f"no landmark lies in the image of {width}×{height} pixels; "
                "give landmarks of the image in this size"
            )
    return ""
