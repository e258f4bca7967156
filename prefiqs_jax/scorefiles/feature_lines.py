"""Text lines of a path and a raw embedding, as MagFace writes them."""

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
    """Count the numbers with which every line ends, behind a path.

    Parameters
    ----------
    lines
        Some lines of a file, none of them empty.

    Returns
    -------
    int
        The smallest count of a line; one line may end in more of them than its scores
        or its embedding, where its path ends in a blank and a number.

    Examples
    --------
    >>> trailing_numbers(["a.png 0.1 0.2 0.3", "my cat 7 0.1 0.2 0.3"])
    3
    """
    counts = []
    for line in lines:
        fields = line.split()[1:]
        count = 0
        while count < len(fields) and is_number(fields[-1 - count]):
            count += 1
        counts.append(count)
    return min(counts, default=0)


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
                message = (
                    f"line {number}, {shown(fields[0].strip())}, does not end in {dim} "
                    "numbers as the first lines do; write the embeddings again"
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
    )
