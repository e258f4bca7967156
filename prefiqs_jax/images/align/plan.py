"""Which pictures of a folder to align, where their crops go, what is done already."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.align.landmarks import check_landmarks
from prefiqs_jax.images.align.stamp import Stamp, read_stamp
from prefiqs_jax.images.align.table import LandmarkTable, match
from prefiqs_jax.images.folder import ImageFolder


class Task(NamedTuple):
    """One picture to align."""

    name: str
    """Of the source, below its folder."""
    crop: str
    """Of the PNG, below the folder of crops."""
    identity: str | None
    landmarks: Float[np.ndarray, "5 2"] | None
    """In the source picture; None if the detector is to find them."""


def plan_crops(
    folder: ImageFolder, table: LandmarkTable | None
) -> tuple[list[Task], list[str]]:
    """List the pictures to align.

    Parameters
    ----------
    folder
        Source pictures.
    table
        Landmarks of them, by name with or without extension; None if a detector is to
        find them.

    Returns
    -------
    tasks
        In the folder's order. The table's identities go before the folder's.
    missing
        Names of the pictures that the table lacks.

    Raises
    ------
    InputError
        If two pictures would have one crop, or landmarks are those of no face.
    """
    rows = match(table, folder.names) if table else {}
    tasks: list[Task] = []
    missing = []
    source_of: dict[str, str] = {}
    for name, identity in zip(folder.names, folder.identities, strict=True):
        points = None
        if table is not None:
            if name not in rows:
                missing.append(name)
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
    if table is not None:
        _check_all(table, tasks)
    return tasks, missing


def finished(
    root: Path, tasks: Sequence[Task], wanted: Stamp
) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Find the crops that an earlier call has made.

    Parameters
    ----------
    root
        Folder of the crops.
    tasks
        From :func:`plan_crops`.
    wanted
        How they are to be made; its landmarks are not looked at.

    Returns
    -------
    dict
        Name of the crop to its landmarks.

    Raises
    ------
    InputError
        If a file is there that was made in another way, or by something else.
    """
    done = {}
    for task in tasks:
        path = root / task.crop
        if not path.exists():
            continue
        stamp = read_stamp(path)
        cure = "give another folder, or delete this one"
        if stamp is None:
            message = f"{path} is there and is no crop of prefiqs align; {cure}"
            raise InputError(message)
        expected = wanted._replace(landmarks=stamp.landmarks)
        if task.landmarks is not None:
            expected = expected._replace(landmarks=as_stamped(task.landmarks))
        for name, old, new in zip(Stamp._fields, stamp, expected, strict=True):
            if old != new:
                message = (
                    f"{path} was made with other {name} ({_short(old)}, not "
                    f"{_short(new)}); {cure}"
                )
                raise InputError(message)
        done[task.crop] = stamp.landmarks
    return done


def as_stamped(landmarks: Float[np.ndarray, "5 2"]) -> tuple[tuple[float, ...], ...]:
    """Write landmarks as a stamp has them."""
    return tuple(map(tuple, np.asarray(landmarks, np.float64).tolist()))


def _check_all(table: LandmarkTable, tasks: Sequence[Task]) -> None:
    bad: list[tuple[str, str]] = []
    for task in tasks:
        assert task.landmarks is not None
        try:
            check_landmarks(task.landmarks)
        except InputError as error:
            bad.append((task.name, str(error)))
    if bad:
        more = f" (and of {len(bad) - 1} more)" if len(bad) > 1 else ""
        message = f"{table.path}: landmarks of {bad[0][0]}{more}: {bad[0][1]}"
        raise InputError(message)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
