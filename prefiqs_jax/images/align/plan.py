"""Which images of a folder to align, and where their crops go."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.align.table import LandmarkTable, match
from prefiqs_jax.images.folder import ImageFolder
from prefiqs_jax.images.geometry import check_landmarks
from prefiqs_jax.images.headers import list_bad


class Task(NamedTuple):
    """One image to align."""

    name: str
    """Path of the source below its folder."""
    crop: str
    """Path of the PNG below the folder of crops."""
    identity: str | None
    landmarks: Float[np.ndarray, "5 2"] | None
    """In the source image; None if the detector is to find them."""


def plan_crops(
    folder: ImageFolder, table: LandmarkTable | None
) -> tuple[list[Task], list[tuple[str, str]]]:
    """List the images to align.

    Parameters
    ----------
    folder
        Source images.
    table
        Landmarks of them, by name with or without extension; None if a detector is to
        find them.

    Returns
    -------
    tasks
        In the folder's order. The table's identities go before the folder's.
    unusable
        (name, reason) of the images whose landmarks the table lacks, or that have
        those of no face.

    Raises
    ------
    InputError
        If two images would have one crop, or the table is ambiguous.
    """
    rows = match(table, folder.names) if table else {}
    tasks: list[Task] = []
    unusable: list[tuple[str, str]] = []
    source_of: dict[str, str] = {}
    for name, identity in zip(folder.names, folder.identities, strict=True):
        points = None
        if table is not None:
            if reason := _why_not(table, rows.get(name)):
                unusable.append((name, reason))
                continue
            points = table.points[rows[name]]
            if table.identities is not None:
                identity = table.identities[rows[name]] or identity
        crop = str(PurePosixPath(name).with_suffix(".png"))
        if source_of.setdefault(crop, name) != name:
            message = (
                f"{source_of[crop]} and {name} would both become {crop}; rename one"
            )
            raise InputError(message)
        tasks.append(Task(name, crop, identity, points))
    return tasks, unusable


def describe_unusable(table: LandmarkTable, unusable: Sequence[tuple[str, str]]) -> str:
    """Say in one line which images the table does not align, why, and what to do.

    Parameters
    ----------
    table
        Landmarks.
    unusable
        At least one, from :func:`plan_crops`.
    """
    cure = f"correct {table.path}, or leave such images out with --on-bad-image skip"
    return f"{list_bad(unusable, 'aligned')}; {cure}"


def as_stamped(landmarks: Float[np.ndarray, "5 2"]) -> tuple[tuple[float, ...], ...]:
    """Write landmarks as a stamp has them."""
    return tuple(map(tuple, np.asarray(landmarks, np.float64).tolist()))


def _why_not(table: LandmarkTable, row: int | None) -> str:
    """Say why an image cannot be aligned, to be read after its name; else nothing."""
    if row is None:
        return "has no landmarks"
    try:
        check_landmarks(table.points[row])
    except InputError as error:
        return f"cannot be aligned: {error}"
    return ""
