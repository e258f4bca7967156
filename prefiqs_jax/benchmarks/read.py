"""Find out what kind of benchmark something is, and read it."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from prefiqs_jax.benchmarks.all_pairs import read_all_pairs
from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.compared import refuse_absent
from prefiqs_jax.benchmarks.crfiqa import PAIR_LIST, read_crfiqa
from prefiqs_jax.benchmarks.format import Format
from prefiqs_jax.benchmarks.ijb import find_members, read_ijb
from prefiqs_jax.benchmarks.lfw import read_lfw
from prefiqs_jax.benchmarks.packed import read_packed
from prefiqs_jax.benchmarks.published import compare_counts
from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.images import found_people
from prefiqs_jax.plugins import held_by_files
from prefiqs_jax.weights.wording import listed

# A file of this folder with a FORMAT needs no line here. Here are the kinds that share
# a file, or that no single mark tells.
_FORMATS: Sequence[Format] = held_by_files("prefiqs_jax.benchmarks", "FORMAT")

KINDS: Mapping[str, str] = {
    "folder": "images of people in subfolders or images.csv: all pairs (Adience)",
    "lfw": "LFW's pairs.txt, or the list of CALFW or CPLFW, and its images",
    "xqlfw": "xqlfw_pairs.txt and xqlfw_aligned_112/",
    "bin": "a .bin file of insightface: LFW, AgeDB-30, CFP-FP, CALFW, CPLFW",
    "crfiqa": "images/ and pair_list.txt, as CR-FIQA's scripts write them",
    "ijbc": "meta/ and loose_crop/ of IJB-C or IJB-B: templates",
    **{each.kind: each.description for each in _FORMATS},
}
"""Kinds of benchmark, with one line on each."""


def read_benchmark(
    path: str | os.PathLike[str],
    kind: str | None = None,
    images: str | os.PathLike[str] | None = None,
    identity_level: int | None = None,
    *,
    on_bad_image: Literal["fail", "skip"] = "fail",
) -> Benchmark:
    """Read a benchmark; no image is decoded.

    Parameters
    ----------
    path
        A file or a folder of one of the :data:`KINDS`.
    kind
        Which of them; None to find it by what is there.
    images
        Folder of the images where they are not beside the list of comparisons.
    identity_level
        How many folders name the person, see :func:`prefiqs_jax.images.read_folder`;
        for kinds that do not say themselves who is in their images, ``folder`` and
        ``pairs``.
    on_bad_image
        ``"skip"`` leaves out the comparisons of an image that a list names and that is
        absent, and says so.

    Returns
    -------
    Benchmark
        The first of its notes says what it was taken for, the second how its counts
        compare with the published ones, if its name is known, the last how many images
        of how many people it has.

    Raises
    ------
    InputError
        If there is nothing, it fits no kind or several, or it is bad: see the readers.
    """
    path = Path(path)
    if not os.path.exists(path):
        message = f"there is no {path}; give a benchmark: a file or folder of images"
        raise InputError(message)
    if kind is not None:
        check_choice("kind of benchmark", kind, KINDS)
    kind, found = _find(path, kind)
    if images is not None and kind == "bin":
        message = f"{found} holds its images itself; leave --images out"
        raise InputError(message)
    folder = None if images is None else Path(images)
    benchmark = _READERS[kind](found, folder, identity_level)
    if on_bad_image == "fail":
        refuse_absent(found, benchmark.images)
    said = f"{found} was read as {kind}: {KINDS[kind]}"
    counts = compare_counts(
        benchmark.name, benchmark.comparison_count, benchmark.mated_count
    )
    people = found_people(
        benchmark.images.root, benchmark.images.identities, benchmark.identity_source
    )
    notes = (said, *counts, *benchmark.notes, people)
    return dataclasses.replace(benchmark, notes=notes)


_READERS: Mapping[str, Callable[[Path, Path | None, int | None], Benchmark]] = {
    "folder": read_all_pairs,
    "lfw": lambda path, images, _: read_lfw(path, images),
    "xqlfw": lambda path, images, _: read_lfw(path, images, kind="xqlfw"),
    "bin": lambda path, *_: read_packed(path),
    "crfiqa": lambda path, images, _: read_crfiqa(path, images),
    "ijbc": lambda path, images, _: read_ijb(path, images),
    **{each.kind: each.read for each in _FORMATS},
}

# The file by which a folder is known.
_MARKS: Mapping[str, str] = {
    **{each.kind: each.mark for each in _FORMATS},
    "lfw": "pairs.txt",
    "xqlfw": "xqlfw_pairs.txt",
    "crfiqa": PAIR_LIST,
}


def _find(path: Path, kind: str | None) -> tuple[str, Path]:
    """Tell the kind of a file by its name, of a folder by what is in it."""
    if path.is_file():
        return kind or _kind_of_file(path), path
    packed = [("bin", each) for each in sorted(path.glob("*.bin"))]
    if kind == "bin" and len(packed) != 1:
        what = listed([each.name for _, each in packed]) or "no .bin file"
        message = f"{path} holds {what}; give one .bin file"
        raise InputError(message)
    if kind is not None:
        return packed[0] if kind == "bin" else (kind, path / _MARKS.get(kind, ""))
    found = [(kind, path / mark) for kind, mark in _MARKS.items()]
    found = [(kind, file) for kind, file in found if file.is_file()]
    if find_members(path) is not None:
        found.append(("ijbc", path))
    lists = [("lfw", each) for each in sorted(path.glob("pairs_*.txt"))]
    found = found or packed or lists or [("folder", path)]
    if len(found) > 1:
        shown = listed([file.name for _, file in found])
        message = f"{path} holds several benchmarks: {shown}; give one of these files"
        raise InputError(message)
    return found[0]


def _kind_of_file(path: Path) -> str:
    name = path.name.lower()
    kinds = {".bin": "bin", PAIR_LIST: "crfiqa"}
    kinds |= {each.ending: each.kind for each in _FORMATS}
    if kind := next((kind for end, kind in kinds.items() if name.endswith(end)), None):
        return kind
    if name.endswith(".txt") and "pairs" in name:
        return "xqlfw" if "xqlfw" in name else "lfw"
    message = (
        f"{path} is no benchmark by its name; give a folder, a .bin, pairs.txt or "
        "pairs.csv, or say its kind with --kind, such as --kind crfiqa for lines of "
        "two images and a label"
    )
    raise InputError(message)
