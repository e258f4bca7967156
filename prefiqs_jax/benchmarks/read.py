"""Find out what kind of benchmark something is, and read it."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from prefiqs_jax.benchmarks.all_pairs import read_all_pairs
from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.crfiqa import PAIR_LIST, read_crfiqa
from prefiqs_jax.benchmarks.ijb import find_members, read_ijb
from prefiqs_jax.benchmarks.lfw import read_lfw
from prefiqs_jax.benchmarks.packed import read_packed
from prefiqs_jax.benchmarks.pairs_table import read_pairs_table
from prefiqs_jax.benchmarks.published import compare_counts
from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.images import found_people
from prefiqs_jax.weights.wording import listed

KINDS: Mapping[str, str] = {
    "folder": "pictures of people in subfolders or images.csv: all pairs (Adience)",
    "lfw": "LFW's pairs.txt and its pictures",
    "xqlfw": "xqlfw_pairs.txt and xqlfw_aligned_112/",
    "bin": "a .bin file of insightface: LFW, AgeDB-30, CFP-FP, CALFW, CPLFW",
    "crfiqa": "images/ and pair_list.txt, as CR-FIQA's scripts write them",
    "ijbc": "meta/ and loose_crop/ of IJB-C or IJB-B: templates",
    "pairs": "a table pairs.csv: image_a,image_b,mated",
}
"""Kinds of benchmark, with one line on each."""


class _Found(NamedTuple):
    """A kind, and the file or folder of it."""

    kind: str
    path: Path


def read_benchmark(
    path: str | os.PathLike[str],
    kind: str | None = None,
    images: str | os.PathLike[str] | None = None,
    identity_level: int | None = None,
) -> Benchmark:
    """Read a benchmark; no picture is decoded.

    Parameters
    ----------
    path
        A file or a folder of one of the :data:`KINDS`.
    kind
        Which of them; None to find it by what is there.
    images
        Folder of the pictures where they are not beside the list of comparisons.
    identity_level
        How many folders name the person, see :func:`prefiqs_jax.images.read_folder`;
        for kinds that do not say themselves who is in their pictures, ``folder`` and
        ``pairs``.

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
        message = f"there is no {path}; give a benchmark: a file or folder of pictures"
        raise InputError(message)
    if kind is not None:
        check_choice("kind of benchmark", kind, KINDS)
    found = _find(path) if kind is None else _Found(kind, _listed(kind, path))
    if images is not None and found.kind == "bin":
        message = f"{found.path} holds its pictures itself; leave --images out"
        raise InputError(message)
    benchmark = _READERS[found.kind](
        found.path, None if images is None else Path(images), identity_level
    )
    said = f"{found.path} was read as {found.kind}: {KINDS[found.kind]}"
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
    "pairs": read_pairs_table,
}

# The file by which a folder is known.
_MARKS: Mapping[str, str] = {
    "pairs": "pairs.csv",
    "lfw": "pairs.txt",
    "xqlfw": "xqlfw_pairs.txt",
    "crfiqa": PAIR_LIST,
}


def _find(path: Path) -> _Found:
    """Tell the kind of a file by its name, of a folder by what is in it."""
    if path.is_file():
        return _Found(_kind_of_file(path), path)
    found = [
        _Found(kind, path / mark)
        for kind, mark in _MARKS.items()
        if (path / mark).is_file()
    ]
    if find_members(path) is not None:
        found.append(_Found("ijbc", path))
    packed = [_Found("bin", each) for each in sorted(path.glob("*.bin"))]
    found = found or packed or [_Found("folder", path)]
    if len(found) > 1:
        shown = listed([each.path.name for each in found])
        message = f"{path} holds several benchmarks: {shown}; give one of these files"
        raise InputError(message)
    return found[0]


def _kind_of_file(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".bin"):
        return "bin"
    if name.endswith(".csv"):
        return "pairs"
    if name == PAIR_LIST:
        return "crfiqa"
    if name.endswith(".txt") and "pairs" in name:
        return "xqlfw" if "xqlfw" in name else "lfw"
    message = (
        f"{path} is no benchmark by its name; give a folder, a .bin, pairs.txt or "
        "pairs.csv, or say its kind with --kind"
    )
    raise InputError(message)


def _listed(kind: str, path: Path) -> Path:
    """Find the file of a kind where a folder was given."""
    if path.is_file():
        return path
    if kind in _MARKS:
        return path / _MARKS[kind]
    if kind == "bin":
        found = sorted(path.glob("*.bin"))
        if len(found) != 1:
            what = listed([each.name for each in found]) or "no .bin file"
            message = f"{path} holds {what}; give one .bin file"
            raise InputError(message)
        return found[0]
    return path
