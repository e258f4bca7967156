"""``prefiqs align``: its options, and what it calls.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

import argparse
import contextlib
import csv
import hashlib
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.arguments import add_identity_level, open_folder, positive
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import atomic, make_folder, write_text

if TYPE_CHECKING:
    from prefiqs_jax.images import ImageFolder
    from prefiqs_jax.images.align import LandmarkTable, Stamp, Task

# Of `images.align`, which imports NumPy; a test holds them equal.
TEMPLATES = ("arcface", "narrow", "sphereface")
TABLE = "images.csv"

_Points = tuple[tuple[float, ...], ...]


def add_align(commands: Any) -> None:
    """Add ``align`` to the commands."""
    align = commands.add_parser(
        "align",
        help="cut aligned faces out of pictures",
        description="Cut the face out of every picture so that its eyes, nose and "
        "mouth lie where the networks expect them, by a similarity transform of five "
        "landmarks. Writes PNG files in the same folders, and images.csv with "
        "identities and landmarks. Run it again to continue.",
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
    stamp = Stamp(options.template, *size, located_by, opencv_version(), ())
    tasks = _plan(folder, table, options)
    count, left_out = _run(folder, tasks, stamp, open_detector, options)
    words = f"{count} faces in {out} ({options.template}, {size[1]}×{size[0]})"
    print(words + (f", {left_out} pictures left out" if left_out else ""))


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
) -> tuple[int, int]:
    """Make the crops that are not there yet, then the table of all."""
    from tqdm import tqdm

    from prefiqs_jax.images.align import align_pictures, finished

    out = make_folder(options.destination)
    landmarks = finished(out, tasks, stamp)
    todo = [task for task in tasks if task.crop not in landmarks]
    for below in {(out / task.crop).parent for task in todo}:
        make_folder(below)
    crops = align_pictures(
        folder.root,
        todo,
        stamp,
        lambda name, content: _write(out / name, content),
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
    with bar, contextlib.closing(crops):
        for crop in crops:
            if crop.landmarks is None:
                bar.write(f"left out {crop.task.name}: {crop.reason}", sys.stderr)
            else:
                landmarks[crop.task.crop] = crop.landmarks
            bar.update()
    if not landmarks:
        message = f"none of the pictures in {folder.root} can be aligned"
        raise InputError(message)
    write_text(out / TABLE, _table(tasks, landmarks))
    return len(landmarks), len(folder.names) - len(landmarks)


def _write(path: Path, content: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(content)


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
