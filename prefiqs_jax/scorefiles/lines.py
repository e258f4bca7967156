"""Text lines of a path and a score (CR-FIQA, GraFIQs) or an embedding (MagFace)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.numerals import is_number, parse_numbers
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import shown

LEAST_DIM = 16
"""Fewer numbers than that at the end of a line are taken for parts of a path."""


def trailing_numbers(lines: Sequence[str]) -> int:
    """Count the numbers with which lines end, behind a path.

    The most frequent count, of several the smallest: some lines may end in more of
    them, where a path ends in a blank and a number, or in fewer, where one is bad.

    >>> trailing_numbers(["a.png 0.1 0.2 0.3", "my cat 7 0.1 0.2 0.3"])
    3
    """
    counts: Counter[int] = Counter()
    for line in lines:
        fields = line.split()[1:]
        bad = (n for n, field in enumerate(reversed(fields)) if not is_number(field))
        counts[next(bad, len(fields))] += 1
    return max(counts, key=lambda count: (counts[count], -count), default=0)


def read_score_lines(path: Path) -> Scores:
    """Read ``PATH SCORE`` lines; the score is the last field, so paths may have blanks.

    Without a direction: CR-FIQA's scores are higher, those of GraFIQs lower for better
    images, and their lines look the same. Raises InputError if a line has one field
    only, or its last field is no number.
    """
    names, texts, lines = [], [], []
    for number, line in _numbered(path):
        name, *score = line.strip().rsplit(None, 1)
        if not score:
            message = (
                f"line {number} has one field, {shown(name)}; a path and its score "
                "belong there, with a blank between"
            )
            raise InputError(message)
        names.append(name)
        texts.append(score[0])
        lines.append(number)
    values = parse_numbers(texts, lines, names)
    note = f"{path}: scores from the last field of each line"
    kind = "lines of a path and a score"
    return Scores(path, kind, tuple(names), values, notes=(note,))


def read_feature_lines(path: Path, dim: int) -> Scores:
    """Read ``PATH f1 … fn`` lines; the score is the Euclidean norm of the embedding.

    Higher is better, by MagFace's definition: Meng et al. (2021). MagFace: A Universal
    Representation for Face Recognition and Quality Assessment. CVPR. Raises InputError
    if a line has fewer than ``dim`` numbers behind the path.
    """
    names: list[str] = []
    norms: list[float] = []
    for number, line in _numbered(path):
        name, *fields = line.strip().rsplit(None, dim)
        try:
            embedding = np.array(fields, np.float64)
        except ValueError:
            embedding = np.empty(0)
        if len(embedding) != dim:
            first, *words = line.split()
            bad = [word for word in words[-dim:] if not is_number(word)]
            what = f" ({shown(bad[0])} is none)" if bad else ""
            message = (
                f"line {number}, {shown(first)}, does not end in {dim} numbers as the "
                f"first lines do{what}; write the embeddings again"
            )
            raise InputError(message)
        names.append(name)
        norms.append(float(np.sqrt(embedding @ embedding)))
    return Scores(
        source=path,
        kind=f"lines of a path and a raw embedding of {dim} numbers, whose norm is the "
        "score",
        names=tuple(names),
        values=np.array(norms, np.float64),
        method="norm",
        direction="higher",
        notes=(f"{path}: scores are the norms of the {dim} last fields of each line",),
    )


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not empty, with their numbers from 1."""
    with open(path, encoding="utf-8-sig") as file:
        yield from ((n, line) for n, line in enumerate(file, start=1) if line.strip())
