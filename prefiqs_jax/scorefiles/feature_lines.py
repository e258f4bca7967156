"""Text lines of a path and a raw embedding, as MagFace writes them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.numerals import is_number
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.scorefiles.text_lines import numbered
from prefiqs_jax.weights.wording import shown

KIND = "lines of a path and a raw embedding"
LEAST_DIM = 16
"""Fewer numbers than that at the end of a line are taken for parts of a path."""


def trailing_numbers(lines: Sequence[str]) -> int:
    """Count the numbers with which lines end, behind a path.

    Parameters
    ----------
    lines
        Some lines of a file, none of them empty.

    Returns
    -------
    int
        The most frequent count, of several the smallest: some lines may end in more of
        them, where a path ends in a blank and a number, or in fewer, where one is bad.

    Examples
    --------
    >>> trailing_numbers(["a.png 0.1 0.2 0.3", "my cat 7 0.1 0.2 0.3"])
    3
    """
    counts: Counter[int] = Counter()
    for line in lines:
        fields = line.split()[1:]
        count = 0
        while count < len(fields) and is_number(fields[-1 - count]):
            count += 1
        counts[count] += 1
    return max(counts, key=lambda count: (counts[count], -count), default=0)


def read_feature_lines(path: Path, dim: int) -> Scores:
    """Read ``PATH f1 … fn`` lines; the score is the Euclidean norm of the embedding.

    Parameters
    ----------
    path
        UTF-8 text. Empty lines are passed over.
    dim
        Length of the embeddings, see :func:`trailing_numbers`.

    Returns
    -------
    Scores
        Higher is better, by MagFace's definition.

    Raises
    ------
    InputError
        If a line has fewer fields, one of which is no number.

    References
    ----------
    Meng et al. (2021). MagFace: A Universal Representation for Face Recognition and
    Quality Assessment. CVPR.
    """
    names: list[str] = []
    norms: list[float] = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in numbered(file):
            fields = line.rsplit(None, dim)
            try:
                embedding = np.array(fields[1:], np.float64)
            except ValueError:
                embedding = np.empty(0)
            if len(embedding) != dim:
                words = line.split()[1:][-dim:]
                bad = [word for word in words if not is_number(word)]
                what = f" ({shown(bad[0])} is none)" if bad else ""
                message = (
                    f"line {number}, {shown(line.split()[0])}, does not end in {dim} "
                    f"numbers as the first lines do{what}; write the embeddings again"
                )
                raise InputError(message)
            names.append(fields[0].strip())
            norms.append(float(np.sqrt(embedding @ embedding)))
    return Scores(
        source=path,
        kind=f"{KIND} of {dim} numbers, whose norm is the score",
        method="norm",
        names=tuple(names),
        values=np.array(norms, np.float64),
        direction="higher",
        column=None,
        columns=(),
        notes=(f"{path}: scores are the norms of the {dim} last fields of each line",),
    )
