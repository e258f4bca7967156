"""Align a folder: crops, their table, and the record by which it goes on again."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import atomic, clear_partial, lock_folder, make_folder
from prefiqs_jax.images.align.detector import open_detector
from prefiqs_jax.images.align.earlier import find_earlier, refuse_other_settings
from prefiqs_jax.images.align.folder import align_images
from prefiqs_jax.images.align.plan import Task, describe_unusable, plan_crops
from prefiqs_jax.images.align.stamp import Stamp, opencv_version
from prefiqs_jax.images.align.table import (
    LANDMARK_COLUMNS,
    LandmarkTable,
    has_landmarks,
    read_landmarks,
)
from prefiqs_jax.images.folder import IDENTITY_TABLE, ImageFolder
from prefiqs_jax.images.geometry import template_named
from prefiqs_jax.images.inventory import Times, file_sha256, file_times
from prefiqs_jax.outputs import check_outputs, is_unused, write_outputs
from prefiqs_jax.terminal import progress_bar, say

MARKER = "align.json"
"""In a folder of crops: how they are made, and the times of the files."""

_Points = tuple[tuple[float, ...], ...]
_Path = str | os.PathLike[str]


class AlignedFolder(NamedTuple):
    """What came of a folder of images."""

    face_count: int
    """Faces that are there now."""
    left_out: int
    """Images that could not be aligned."""
    made_again: int
    """Faces made again because their source image changed."""
    height: int
    width: int


def align_folder(
    folder: ImageFolder,
    out: _Path,
    *,
    template: str = "arcface",
    size: int | None = None,
    landmarks: _Path | None = None,
    detector: _Path | None = None,
    on_bad_image: Literal["fail", "skip"] = "fail",
    progress: bool = True,
) -> AlignedFolder:
    """Write the aligned face of every image, and ``images.csv`` with the landmarks.

    Called again, it continues, and makes the faces of images that changed again.

    Parameters
    ----------
    folder
        Source images.
    out
        Folder of the faces, outside that of the images.
    template, size
        Name and height in pixels, see
        :func:`prefiqs_jax.images.geometry.template_named`.
    landmarks
        Table of five landmarks an image; None for ``images.csv`` of the source folder.
    detector
        YuNet's ONNX file, which finds the landmarks instead.
    on_bad_image
        ``"fail"``, or ``"skip"`` images that cannot be aligned.
    progress
        Show a bar on standard error.

    Raises
    ------
    InputError
        If landmarks are absent or bad, an image cannot be aligned (unless skipped),
        ``out`` holds anything else or was made with other settings.
    """
    source, out = folder.root, Path(out)
    height, width = template_named(template, size)[:2]
    if source.resolve() in (out.resolve(), *out.resolve().parents):
        message = f"{out} lies in {source}; give a folder outside it for the faces"
        raise InputError(message)
    table, located_by = _locate_by(source, landmarks, detector)
    stamp = Stamp(template, height, width, located_by, opencv_version(), (), "")
    tasks, unusable = plan_crops(folder, table)
    if table is not None and unusable:
        if on_bad_image == "fail" or not tasks:
            raise InputError(describe_unusable(table, unusable))
        for name, reason in unusable:
            say(f"left out {name}: {reason}")
    with lock_folder(make_folder(out), "aligning"):
        counts = _run(
            folder,
            out,
            tasks,
            stamp,
            (lambda: open_detector(Path(detector))) if detector else None,
            skip=on_bad_image == "skip",
            progress=progress,
        )
    return AlignedFolder(*counts, height, width)


def _locate_by(
    source: Path, landmarks: _Path | None, detector: _Path | None
) -> tuple[LandmarkTable | None, str]:
    """Find out where landmarks come from: a table, or the digest of a detector."""
    if detector:
        open_detector(Path(detector))  # a bad file is refused before anything is done
        return None, file_sha256(Path(detector))
    table = landmarks or source / IDENTITY_TABLE
    if not landmarks and not has_landmarks(Path(table)):
        message = (
            f"{table} gives no landmarks; give them with --landmarks FILE, or a "
            "detector with --detector FILE"
        )
        raise InputError(message)
    return read_landmarks(Path(table)), "table"


def _run(
    folder: ImageFolder,
    out: Path,
    tasks: Sequence[Task],
    stamp: Stamp,
    detector: Callable[[], Any] | None,
    *,
    skip: bool,
    progress: bool,
) -> tuple[int, int, int]:
    """Make the crops that are not there yet or outdated, then the table of all.

    Returns how many there are, were left out, and were made again.
    """
    stored = _read_marker(out, stamp)
    earlier = find_earlier(folder.root, out, tasks, stamp, stored["times"])
    source = str(folder.root.resolve())
    if earlier.outdated and source != stored["source"]:
        message = (
            f"{out} holds crops from {stored['source']}, of which "
            f"{earlier.outdated[0]} is another; give another folder"
        )
        raise InputError(message)
    landmarks, times = earlier.landmarks, dict(earlier.times)
    todo = [task for task in tasks if task.crop not in landmarks]
    written: dict[str, Times] = {}

    def write(name: str, content: bytes) -> None:
        with atomic(out / name) as temporary:
            temporary.write_bytes(content)
        written[name] = file_times(os.stat(out / name))

    def mark() -> None:
        record = {"settings": stamp.settings, "source": source, "times": times}
        write_outputs(out, {MARKER: json.dumps(record)}, locked=True)

    if todo:
        # It may list crops that change now.
        (out / IDENTITY_TABLE).unlink(missing_ok=True)
    mark()  # before anything else is written
    for below in {(out / task.crop).parent for task in todo}:
        clear_partial(make_folder(below))
    crops = align_images(
        folder.root, todo, stamp, write, open_detector=detector, skip=skip
    )
    bar = progress_bar(len(tasks), initial=len(landmarks), progress=progress)
    try:
        with bar, contextlib.closing(crops):
            for crop in crops:
                name = crop.task.crop
                if crop.landmarks is None:
                    say(f"left out {crop.task.name}: {crop.reason}")
                    (out / name).unlink(missing_ok=True)  # of the image as it was
                else:
                    landmarks[name] = crop.landmarks
                    times[name] = crop.source_times, written[name]
                bar.update()
    finally:
        mark()
    if not landmarks:
        message = f"none of the images in {folder.root} can be aligned"
        raise InputError(message)
    write_outputs(out, {IDENTITY_TABLE: _table(tasks, landmarks)}, locked=True)
    again = sum(name in landmarks for name in earlier.outdated)
    return len(landmarks), len(folder.names) - len(landmarks), again


def _read_marker(out: Path, stamp: Stamp) -> dict[str, Any]:
    """Make sure that a folder is new or of the same settings; give what it says."""
    path = out / MARKER
    if not path.exists():
        if is_unused(out):
            return {"times": {}, "source": None}
        found = "is not empty and holds no faces of prefiqs align"
        message = f"{out} {found}; give another folder"
        raise InputError(message)
    check_outputs(out, [MARKER, IDENTITY_TABLE])
    stored = json.loads(path.read_bytes())
    refuse_other_settings(out, stored["settings"], stamp.settings)
    times = {
        name: tuple(each and tuple(each) for each in both)
        for name, both in stored["times"].items()
    }
    return {**stored, "times": times}


def _table(tasks: Sequence[Task], landmarks: Mapping[str, _Points]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "identity", *LANDMARK_COLUMNS])
    for task in tasks:
        if task.crop in landmarks:
            values = [value for point in landmarks[task.crop] for value in point]
            writer.writerow([task.crop, task.identity or "", *values])
    return text.getvalue()
