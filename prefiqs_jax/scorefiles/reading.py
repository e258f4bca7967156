"""Detect the format of a score file from its content, and read it."""

import os
from pathlib import Path

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular
from prefiqs_jax.scorefiles.json_dict import read_json
from prefiqs_jax.scorefiles.lines import (
    LEAST_DIM,
    read_feature_lines,
    read_score_lines,
    trailing_numbers,
)
from prefiqs_jax.scorefiles.pickled import is_pickle, read_pickled_scores
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.scorefiles.table import find_table, read_table
from prefiqs_jax.weights.wording import naming

# Some tens of lines of 512 numbers, some thousands of a path and a score.
_SAMPLE = 2**18


def read_scores(path: str | os.PathLike[str], *, column: str | None = None) -> Scores:
    """Read a file of scores in any of the known formats.

    Its content tells the format, its name does not matter: a table with commas,
    semicolons or tabs (``image,quality,drift`` of ``prefiqs score``, OFIQ, any other),
    lines of a path and a score (CR-FIQA, GraFIQs), lines of a path and a raw embedding
    whose norm is the score (MagFace), a pickled dict (FaceQAN, DifFIQA, eDifFIQA), a
    JSON object.

    Parameters
    ----------
    path
        The file.
    column
        Of a table, the column that holds the scores. Not needed where only one holds
        numbers, nor for tables of this package (``quality``) or of OFIQ
        (``UnifiedQualityScore.scalar``).

    Returns
    -------
    Scores
        The rows as they stand there.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty or damaged, is written in no such way,
        holds something else than a number for an image (with the line), or a pickle
        would do anything but hold numbers; if no column or several could be meant.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "CRFIQAL_lfw.txt"
    >>> _ = path.write_text("lfw/images/00001.jpg 2.25")
    >>> scores = read_scores(path)
    >>> scores.kind, scores.names, scores.values
    ('lines of a path and a score', ('lfw/images/00001.jpg',), array([2.25]))
    """
    path = Path(path)
    check_regular(path)
    with naming(path):
        try:
            scores = _read(path, column)
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise InputError(message) from error
        except UnicodeDecodeError as error:
            message = "is no UTF-8 text, nor a pickle; save it as UTF-8"
            raise InputError(message) from error
        if len(scores.values) == 0:
            message = "holds no scores"
            raise InputError(message)
    return scores


def _read(path: Path, column: str | None) -> Scores:
    with open(path, "rb") as file:
        start = file.read(_SAMPLE)
    if is_pickle(start):
        scores = read_pickled_scores(path)
    elif start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        scores = read_json(path)
    else:
        lines = _whole_lines(start)
        dim = trailing_numbers(lines)
        if dim >= LEAST_DIM:
            scores = read_feature_lines(path, dim)
        elif table := find_table(lines):
            return read_table(path, table, column)
        else:
            scores = read_score_lines(path)
    if column is not None:
        message = f"holds {scores.kind}, no table; leave out column {column}"
        raise InputError(message)
    return scores


def _whole_lines(start: bytes) -> list[str]:
    """Give the lines at the start of a file that are not cut off, nor empty."""
    if len(start) == _SAMPLE and b"\n" in start:
        start = start[: start.rindex(b"\n")]
    # What is cut off may be half a character, of a file in one line.
    text = start.decode("utf-8-sig", "ignore" if len(start) == _SAMPLE else "strict")
    return [line for line in text.split("\n") if line.strip()]
