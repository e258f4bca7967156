"""LFW's pairs.txt, XQLFW's in the same layout, and those of CALFW and CPLFW."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from prefiqs_jax.benchmarks.benchmark import Benchmark, Comparisons
from prefiqs_jax.benchmarks.columns import numbered
from prefiqs_jax.benchmarks.compared import compared_images
from prefiqs_jax.benchmarks.comparisons import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images.pairing import without_ending
from prefiqs_jax.images.tables import reading

_FOLDERS = {
    "lfw": (
        *("lfw", "lfw_aligned_112", "lfw-deepfunneled", "lfw_funneled", "images"),
        "aligned images",  # of CALFW and CPLFW
    ),
    "xqlfw": ("xqlfw_aligned_112", "xqlfw", "images"),
}
_TWO = "IMAGE NUMBER (0: non-mated), as in CALFW's list, two lines a pair"
_LAYOUT = "NAME I J (mated) or NAME I NAME J (non-mated)"


class Line(NamedTuple):
    """One comparison of the list."""

    first: str
    """Name of one image, without extension."""
    second: str
    people: tuple[str, str]
    mated: bool


def read_lfw(path: Path, images: Path | None = None, *, kind: str = "lfw") -> Benchmark:
    """Read a list of comparisons in the layout of LFW's ``pairs.txt``.

    The header is the number of folds and of comparisons of either kind in each, or only
    the latter; then come lines of three columns (a person and two numbers: mated) and
    of four (two people with a number each: non-mated). ``NAME 7`` is an image
    ``NAME_0007`` of any extension, in a folder of the person or not. Images are in
    `images`, or else in the usual folder of the `kind`, ``"lfw"`` or ``"xqlfw"``,
    beside the list. The lists of CALFW and CPLFW, of two lines a pair, are read, too;
    identities are unknown where their labels contradict the names. InputError if a
    line is malformed, or the header counts other lines.

    References
    ----------
    Huang et al. (2007). Labeled Faces in the Wild. UMass Amherst, TR 07-49.
    Knoche et al. (2021). Cross-quality LFW. IEEE FG, arXiv 2108.10290.
    """
    import pandas as pd

    lines = read_pairs_txt(path)
    ends = ([line.first for line in lines], [line.second for line in lines])
    names, (first, second) = numbered(*map(pd.Categorical, ends))
    mated = np.array([line.mated for line in lines])
    comparisons, usual = Comparisons(first, second, mated), _FOLDERS[kind]
    found = compared_images(
        path, names, comparisons, images=images, usual=usual, identity_level=0
    )
    used, (first, second, _) = found.images, found.comparisons
    person: dict[int, str] = {}
    kept = [line for line, stays in zip(lines, found.kept, strict=True) if stays]
    for line, a, b in zip(kept, first.tolist(), second.tolist(), strict=True):
        person[a], person[b] = line.people
    identities: tuple[str | None, ...] = tuple(
        person[place] for place in range(len(used.names))
    )
    notes, source = [], path.name
    if odd := sum((a == b) != line.mated for line in kept for a, b in [line.people]):
        what = counted(odd, "comparison")
        notes = [f"{what} contradict the names: identities are taken as unknown"]
        identities, source = (None,) * len(used.names), None
    return Benchmark(
        name=_name(path),
        kind=kind,
        images=dataclasses.replace(used, identities=identities, identity_source=source),
        **found.comparisons._asdict(),
        identities=identities,
        identity_source=source,
        notes=(*found.repeats, *used.notes, *found.left_out, *notes),
    )


def read_pairs_txt(path: Path) -> list[Line]:
    """Read the lines of a list; errors as :func:`read_lfw`."""
    with reading(path):
        text = path.read_text(encoding="utf-8-sig")
    header, *rows = text.splitlines() or [""]
    if all(
        map(re.compile(r"\s*\S*[^\s\d]\S*\s+\d+\s*").fullmatch, [header, *rows[:1]])
    ):
        return _in_two_lines(path, [header, *rows])
    if all(map(re.compile(r"\s*(\S+\s+\S+\s+0*[01]\s*)?").fullmatch, [header, *rows])):
        message = f"{path} has lines of two images and a label; give --kind crfiqa"
        raise InputError(message)
    expected = _header(path, header)
    lines = [_line(path, n, row) for n, row in enumerate(rows, 2) if row.strip()]
    mated = sum(line.mated for line in lines)
    if (mated, len(lines) - mated) != (expected, expected):
        message = (
            f"{path} has {mated} mated and {len(lines) - mated} non-mated comparisons, "
            f"but its header says {expected} of each; complete it, or correct line 1"
        )
        raise InputError(message)
    return lines


def _in_two_lines(path: Path, rows: Sequence[str]) -> list[Line]:
    """Read a list as of CALFW and CPLFW: two lines of an image and a number each.

    The number is 0 where the pair is non-mated. The person is in the name of an image.
    """
    known = [(n, row.split()) for n, row in enumerate(rows, 1) if row.strip()]
    for number, words in known:
        if len(words) != 2 or not words[1].isdecimal():
            message = f"{path}, line {number}: {' '.join(words)[:60]!r} is not {_TWO}"
            raise InputError(message)
    if len(known) % 2:
        message = f"{path} has {len(known)} lines, and two are a pair; complete it"
        raise InputError(message)
    lines = []
    for (_, one), (number, other) in zip(known[::2], known[1::2], strict=True):
        if int(one[1]) != int(other[1]):
            message = (
                f"{path}, line {number}: {other[0]} has another number than the image "
                "it is compared with, in the line before; correct it"
            )
            raise InputError(message)
        first, second = (
            PurePosixPath(without_ending(word)).name.rpartition("_")[0]
            for word in (one[0], other[0])
        )
        lines.append(Line(one[0], other[0], (first, second), int(one[1]) != 0))
    return lines


def _name(path: Path) -> str:
    """Name the benchmark: pairs.txt has the name of its folder."""
    if path.stem == "pairs":
        return path.resolve().parent.name
    return path.stem.removesuffix("_pairs").removeprefix("pairs_")


def _header(path: Path, header: str) -> int:
    """Give how many comparisons of either kind there should be."""
    words = header.split()
    if len(words) not in (1, 2) or not all(map(_is_count, words)):
        message = (
            f"{path}, line 1: {header.strip()[:60]!r} is no header; it should be the "
            "number of folds and of pairs of either kind in each, such as 10 300"
        )
        raise InputError(message)
    return int(np.prod([int(each) for each in words]))


def _is_count(word: str) -> bool:
    """Tell a number; one of thousands of digits is none, nor does Python read it."""
    return word.isdecimal() and len(word) < 10


def _line(path: Path, number: int, row: str) -> Line:
    row = row.strip()
    words = row.split("\t") if "\t" in row else row.split()
    words = [each.strip() for each in words]
    mated = len(words) == 3
    if mated:
        words.insert(2, words[0])
    fits = len(words) == 4 and _is_count(words[1]) and _is_count(words[3])
    if not fits or mated != (words[0] == words[2]):
        message = f"{path}, line {number}: {row[:60]!r} is not {_LAYOUT}"
        raise InputError(message)
    one, other = (f"{who}_{int(n):04d}" for who, n in (words[:2], words[2:]))
    return Line(one, other, (words[0], words[2]), mated)
