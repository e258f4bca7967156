"""A folder of images whose people are known: every image with every other one."""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.comparisons import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    ImageFolder,
    ImageSource,
    as_folder,
    level_question,
    read_folder,
)
from prefiqs_jax.images.folder import IDENTITY_TABLE
from prefiqs_jax.images.pairing import rows_named
from prefiqs_jax.images.tables import csv_rows, image_named, open_table
from prefiqs_jax.weights.wording import listed

SEVERITY = "severity"
ADIENCE = "file names of Adience"

# Adience's own crops, and those that CR-FIQA's script makes of them.
_ADIENCE_NAMES = (
    re.compile(r"(?:landmark|coarse_tilt)_aligned_face\.(\d+)\..+"),
    re.compile(r"p_(\d+)_img_\d+\.\w+"),
)


def read_all_pairs(
    path: Path, images: Path | None = None, identity_level: int | None = None
) -> Benchmark:
    """Read an image folder as a benchmark of all N (N - 1) / 2 comparisons.

    So Adience is evaluated in this field: its subfolders are accounts that show several
    people, so there the names of the files say who it is. Images without identity are
    left out. A column ``severity`` of ``images.csv`` is kept. `images` is the folder if
    it is another one; see :func:`prefiqs_jax.images.read_folder` for the rest.
    InputError if fewer than two people are known, or nobody has two images.
    """
    root = path if images is None else images
    folder = read_folder(root, identity_level, identities_matter=False)
    given = identity_level is not None or folder.identity_source == IDENTITY_TABLE
    if not given and (people := _of_adience(folder.names)):
        folder = dataclasses.replace(
            read_folder(root, 0), identities=people, identity_source=ADIENCE
        )
    return _all_pairs(folder, folder.root.resolve().name)


def benchmark_of(
    images: ImageSource, identities: Sequence[str | None], name: str = "images"
) -> Benchmark:
    """Take images in any form as a benchmark of all comparisons, as of a folder.

    Parameters
    ----------
    images
        What :func:`prefiqs_jax.images.as_folder` takes: files, PIL images, arrays.
    identities
        The person in each, in the same order; None where unknown: left out.
    name
        Name of the benchmark.

    Raises
    ------
    InputError
        As :func:`prefiqs_jax.images.as_folder`; if identities and images differ in
        number, fewer than two people are known, or nobody has two images.
    """
    folder = as_folder(images, identities_matter=False)
    if len(identities) != len(folder.names):
        found = f"{len(folder.names)} images and {len(identities)} identities"
        message = f"{found}: give one each"
        raise InputError(message)
    given = dataclasses.replace(
        folder, identities=tuple(identities), identity_source="given"
    )
    return _all_pairs(given, name)


def _all_pairs(folder: ImageFolder, name: str) -> Benchmark:
    notes = list(folder.notes)
    known = [place for place, who in enumerate(folder.identities) if who is not None]
    unknown = len(folder.names) - len(known)
    if known and unknown:
        notes.append(f"left out: {counted(unknown, 'image')} without identity")
        folder = folder.take(known)
    _check_identities(folder)
    return Benchmark(
        name=name,
        kind="folder",
        images=folder,
        identities=folder.identities,
        identity_source=folder.identity_source,
        severity=_severities(folder),
        notes=tuple(notes),
    )


def _of_adience(names: Sequence[str]) -> tuple[str, ...] | None:
    """Take the people from the files' names, if these are Adience's."""
    files = [PurePosixPath(name).name for name in names]
    for layout in _ADIENCE_NAMES:
        found = [layout.fullmatch(file) for file in files]
        if all(found):
            return tuple(each[1] for each in found if each)
    return None


def _check_identities(folder: ImageFolder) -> None:
    if asked := None if any(folder.identities) else level_question(folder.names):
        message = f"{folder.root}: {asked}"
        raise InputError(message)
    if not any(folder.identities):
        what = (
            "does not say who is in its images; put each person's in a subfolder, or "
            f"give {IDENTITY_TABLE} with columns file and identity"
        )
    elif folder.identity_count < 2:
        what = "shows one person only, so no comparison is non-mated; add others"
    elif folder.identity_count == len(folder.names):
        what = "has one image of each person, so no comparison is mated; add further"
    else:
        return
    message = f"{folder.root} {what}"
    raise InputError(message)


def _severities(folder: ImageFolder) -> np.ndarray | None:
    """Read the column severity of images.csv; None without one."""
    if folder.identity_source != IDENTITY_TABLE:
        return None
    table = folder.root / IDENTITY_TABLE
    with open_table(table) as file:
        columns, rows = csv_rows(file)
        if SEVERITY not in columns:
            return None
        severity_of = {image_named(row): row[SEVERITY] for row in rows}
    values = list(severity_of.values())
    row_of, _ = rows_named(table, folder.names, list(severity_of))
    severity = np.array([_severity(values[row_of[name]]) for name in folder.names])
    if not np.isfinite(severity).all():
        bad = [folder.names[n] for n in np.flatnonzero(np.isnan(severity)).tolist()]
        message = (
            f"{table}: the {SEVERITY} of {counted(len(bad), 'image')} is no number "
            f"from 0 to 1: {listed(bad)}"
        )
        raise InputError(message)
    return severity


def _severity(text: str | None) -> float:
    """Give a severity, NaN if it is none."""
    try:
        severity = float(text or "")
    except ValueError:
        return math.nan
    return severity if 0 <= severity <= 1 else math.nan
