"""``prefiqs align``: its options, and what it calls.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.arguments import add_identity_level, open_folder, positive
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import (
    atomic,
    clear_partial,
    lock_folder,
    make_folder,
)
from prefiqs_jax.outputs import check_outputs, is_unused, write_outputs

if TYPE_CHECKING:
    from prefiqs_jax.images import ImageFolder
    from prefiqs_jax.images.align import LandmarkTable, Stamp, Task, Times

# Of `images.align`, which imports NumPy; a test holds them equal.
TEMPLATES = ("arcface", "narrow", "sphereface")
TABLE = "images.csv"
MARKER = "align.json"
"""In a folder of crops: how they are made, and the times of the files."""

_Points = tuple[tuple[float, ...], ...]


def add_align(commands: Any) -> None:
    """Add ``align`` to the commands."""
    align = commands.add_parser(
        "align",
        help="cut aligned faces out of pictures",
        description="Cut the face out of every picture so that its eyes, nose and "
        "mouth lie where the networks expect them, by a similarity transform of five "
        "landmarks. Writes PNG files in the same folders, and images.csv with "
        "identities and landmarks. Run it again to continue, or after pictures have "
        "changed: their faces are made again.",
    )
    align.add_argument("source", metavar="SOURCE", help="folder of pictures")
    align.add_argument("destination", metavar="DEST", help="folder of the faces")
    align.add_argument(
        "--template",
        choices=TEMPLATES,
        default="arcface",
        help="arcface: 112×112; narrow, sphereface: 96 wide, 112 high (default: "
        "%(default)s)",
    )
    align.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help="height: a multiple of 112, or of 128 for arcface (default: 112)",
    )
    where = align.add_mutually_exclusive_group()
    where.add_argument(
        "--landmarks",
        metavar="FILE",
        help="images.csv with x and y of left_eye, right_eye, nose, mouth_left and "
        "mouth_right, in image order, or IJB-C's ijbc_name_5pts_score.txt (default: "
        "SOURCE/images.csv)",
    )
    where.add_argument(
        "--detector",
        metavar="FILE",
        help="YuNet's ONNX file; of several faces, the one with the largest area × "
        "centredness counts",
    )
    align.add_argument(
        "--on-bad-image",
        choices=("fail", "skip"),
        default="fail",
        help="what to do with a picture that cannot be aligned (default: fail)",
    )
    add_identity_level(align)
    align.add_argument("--quiet", action="store_true", help="no progress")
    align.set_defaults(run=_align)


def _align(options: argparse.Namespace) -> None:
    source, out = Path(options.source), Path(options.destination)
    from prefiqs_jax.images.align import Stamp, opencv_version, template_named

    size = template_named(options.template, options.size)[:2]
    _check_apart(source, out)
    folder = open_folder(source, options, identities_matter=False)
    table, open_detector, located_by = _locator(options, source)
    stamp = Stamp(options.template, *size, located_by, opencv_version(), (), "")
    tasks = _plan(folder, table, options)
    with lock_folder(make_folder(out), "aligning"):
        count, left_out, again = _run(folder, tasks, stamp, open_detector, options)
    words = f"{count} faces in {out} ({options.template}, {size[1]}×{size[0]})"
    words += f", {left_out} pictures left out" if left_out else ""
    print(words + (f", {again} made again: their pictures changed" if again else ""))


def _locator(
    options: argparse.Namespace, source: Path
) -> tuple["LandmarkTable | None", Callable[[], Any] | None, str]:
    """Find out where landmarks come from: a table, or a detector and its digest."""
    from prefiqs_jax.images.align import has_landmarks, open_detector, read_landmarks

    if options.detector:
        path = Path(options.detector)
        open_detector(path)  # a bad file is refused before anything else is done
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return None, lambda: open_detector(path), digest
    table = options.landmarks or source / TABLE
    if not options.landmarks and not has_landmarks(table):
        message = (
            f"{table} gives no landmarks; give them with --landmarks FILE, or a "
            "detector with --detector FILE"
        )
        raise InputError(message)
    return read_landmarks(table), None, "table"


def _check_apart(source: Path, out: Path) -> None:
    real, into = source.resolve(), out.resolve()
    if into == real or real in into.parents:
        message = f"{out} lies in {source}; give a folder outside it for the faces"
        raise InputError(message)


def _plan(
    folder: "ImageFolder", table: "LandmarkTable | None", options: argparse.Namespace
) -> "list[Task]":
    from prefiqs_jax.images.align import describe_unusable, plan_crops

    tasks, unusable = plan_crops(folder, table)
    if table is not None and unusable:
        if options.on_bad_image == "fail" or not tasks:
            raise InputError(describe_unusable(table, unusable))
        for name, reason in unusable:
            print(f"left out {name}: {reason}", file=sys.stderr)
    return tasks


def _run(
    folder: "ImageFolder",
    tasks: "Sequence[Task]",
    stamp: "Stamp",
    open_detector: Callable[[], Any] | None,
    options: argparse.Namespace,
) -> tuple[int, int, int]:
    """Make the crops that are not there yet or outdated, then the table of all.

    Returns how many there are, were left out, and were made again.
    """
    from tqdm import tqdm

    from prefiqs_jax.images.align import align_pictures, crop_times, find_earlier

    out = Path(options.destination)
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

    def write(name: str, content: bytes) -> None:
        with atomic(out / name) as temporary:
            temporary.write_bytes(content)
        written[name] = crop_times(os.stat(out / name))

    def marker() -> str:
        return json.dumps(
            {"settings": stamp.settings, "source": source, "times": times}
        )

    written: dict[str, Times] = {}
    if todo:
        (out / TABLE).unlink(missing_ok=True)  # it may tell of crops that change now
    write_outputs(out, {MARKER: marker()}, locked=True)  # before anything else is
    for below in {(out / task.crop).parent for task in todo}:
        clear_partial(make_folder(below))
    crops = align_pictures(
        folder.root,
        todo,
        stamp,
        write,
        open_detector=open_detector,
        skip=options.on_bad_image == "skip",
    )
    bar = tqdm(
        total=len(tasks),
        initial=len(landmarks),
        unit="image",
        disable=options.quiet,
        file=sys.stderr,
    )
    try:
        with bar, contextlib.closing(crops):
            for crop in crops:
                name = crop.task.crop
                if crop.landmarks is None:
                    bar.write(f"left out {crop.task.name}: {crop.reason}", sys.stderr)
                    (out / name).unlink(missing_ok=True)  # of the picture as it was
                else:
                    landmarks[name] = crop.landmarks
                    times[name] = crop.source_times, written[name]
                bar.update()
    finally:
        write_outputs(out, {MARKER: marker()}, locked=True)
    if not landmarks:
        message = f"none of the pictures in {folder.root} can be aligned"
        raise InputError(message)
    write_outputs(out, {TABLE: _table(tasks, landmarks)}, locked=True)
    again = sum(name in landmarks for name in earlier.outdated)
    return len(landmarks), len(folder.names) - len(landmarks), again


def _read_marker(out: Path, stamp: "Stamp") -> dict[str, Any]:
    """Make sure that a folder is new or of the same settings; give what it says."""
    from prefiqs_jax.images.align import refuse_other_settings

    path = out / MARKER
    if not path.exists():
        if is_unused(out):
            return {"times": {}, "source": None}
        message = f"{out} is not empty and holds no faces of prefiqs align; " + (
            "give another folder"
        )
        raise InputError(message)
    check_outputs(out, [MARKER, TABLE])
    stored = json.loads(path.read_bytes())
    refuse_other_settings(out, stored["settings"], stamp.settings)
    times = {name: tuple(map(_times, both)) for name, both in stored["times"].items()}
    return {**stored, "times": times}


def _times(stored: list[int] | None) -> "Times | None":
    return None if stored is None else (stored[0], stored[1], stored[2])


def _table(tasks: "Sequence[Task]", landmarks: Mapping[str, _Points]) -> str:
    from prefiqs_jax.images.align import LANDMARK_COLUMNS

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "identity", *LANDMARK_COLUMNS])
    for task in tasks:
        if task.crop in landmarks:
            values = [value for point in landmarks[task.crop] for value in point]
            writer.writerow([task.crop, task.identity or "", *values])
    return text.getvalue()
