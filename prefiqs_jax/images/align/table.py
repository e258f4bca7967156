"""Tables of landmarks: ``images.csv``, and the lines of IJB-C."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular
from prefiqs_jax.images.geometry import LANDMARKS
from prefiqs_jax.images.pairing import rows_named
from prefiqs_jax.images.tables import csv_rows, image_named, open_table

LANDMARK_COLUMNS = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")
"""Columns of ``images.csv``: left_eye_x, left_eye_y, …, mouth_right_y."""

_IJBC_FIELDS = 12


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkTable:
    """Landmarks of images, by the name of the file."""

    path: Path
    """File of the table."""
    files: tuple[str, ...]
    """Paths below the folder of the images, with forward slashes."""
    identities: tuple[str | None, ...] | None
    """The person in each image, None where unknown; None without that column."""
    points: Float[np.ndarray, "images 5 2"]
    """In pixels of the upright source image, in the order of LANDMARKS; NaN where the
    table has no finite number."""


def read_landmarks(path: str | os.PathLike[str]) -> LandmarkTable:
    """Read a table of landmarks.

    Parameters
    ----------
    path
        A CSV file with the columns file, :data:`LANDMARK_COLUMNS` and, if known,
        identity; others are ignored. A file whose name ends in ``.txt`` is read as
        IJB-C's ``ijbc_name_5pts_score.txt``: a name, x and y of the five points and a
        score, with blanks between.

    Returns
    -------
    LandmarkTable
        In the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read, lacks columns, or holds a text that is no number, or
        an image twice with different values.
    """
    path = Path(path)
    if not path.exists():
        message = f"there is no table of landmarks {path}; give a CSV file"
        raise InputError(message)
    with open_table(path) as file:
        if path.suffix == ".txt":
            return _collect(path, _ijbc_rows(path, file), with_identity=False)
        columns, rows = csv_rows(file)
        missing = [c for c in ("file", *LANDMARK_COLUMNS) if c not in columns]
        if missing:
            found = ", ".join(columns) or "none"
            message = (
                f"{path} has no column {', '.join(missing)} (columns: {found}); give "
                f"file, identity, {LANDMARK_COLUMNS[0]}, … {LANDMARK_COLUMNS[-1]}"
            )
            raise InputError(message)
        return _collect(path, rows, with_identity="identity" in columns)


def has_landmarks(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is there and its first line names columns of landmarks."""
    check_regular(path)
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return LANDMARK_COLUMNS[0] in file.readline()
    except OSError:
        return False


def match(table: LandmarkTable, names: Sequence[str]) -> dict[str, int]:
    """Find the row of each image, see :func:`prefiqs_jax.images.pairing.rows_named`.

    Some may have none. A table often names the aligned PNG of a JPEG.
    """
    return rows_named(table.path, names, table.files)[0]


def _ijbc_rows(path: Path, lines: Iterable[str]) -> Iterator[dict[str, str | None]]:
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if len(words) != _IJBC_FIELDS:
            message = (
                f"{path}, line {number} has {len(words)} fields, not {_IJBC_FIELDS}; "
                "give a name, x and y of five points, and a score"
            )
            raise InputError(message)
        values = zip(LANDMARK_COLUMNS, words[1:-1], strict=True)
        yield {"file": words[0], **dict(values)}


def _collect(
    path: Path, rows: Iterable[dict[str, str | None]], *, with_identity: bool
) -> LandmarkTable:
    known: dict[str, tuple[str | None, tuple[float | None, ...]]] = {}
    for row in rows:
        name = image_named(row)
        if not name:
            continue
        if not PurePosixPath(name).name:
            message = f"{path} lists {name!r}, which names no image; remove the row"
            raise InputError(message)
        who = ((row["identity"] or "").strip() or None) if with_identity else None
        values = tuple(_number(path, name, c, row[c]) for c in LANDMARK_COLUMNS)
        entry = (who, values)
        if known.setdefault(name, entry) != entry:
            message = f"{path} lists {name} twice, with different values; keep one row"
            raise InputError(message)
    if not known:
        message = f"{path} lists no images; give one row for each"
        raise InputError(message)
    # None becomes NaN.
    points = np.array([values for _, values in known.values()], np.float64)
    identities = tuple(who for who, _ in known.values()) if with_identity else None
    return LandmarkTable(path, tuple(known), identities, points.reshape(-1, 5, 2))


def _number(path: Path, name: str, column: str, text: str | None) -> float | None:
    """Read a coordinate; None where it is left open or not finite."""
    try:
        value = float(text) if text and text.strip() else np.nan
    except ValueError:
        message = f"{path}: {column} of {name} is {text!r}; give a number of pixels"
        raise InputError(message) from None
    return value if np.isfinite(value) else None
