"""Text lines of a path and a score, as CR-FIQA and GraFIQs write them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.numerals import parse_numbers
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import shown

KIND = "lines of a path and a score"


def read_text_lines(path: Path) -> Scores:
    """Read ``PATH SCORE`` lines; the score is the last field, so paths may have blanks.

    Parameters
    ----------
    path
        UTF-8 text. Empty lines are passed over.

    Returns
    -------
    Scores
        Without a direction: CR-FIQA's scores are higher, those of GraFIQs lower for
        better pictures, and their lines look the same.

    Raises
    ------
    InputError
        If a line has one field only, or its last field is no number.
    """
    names, texts, lines = [], [], []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in numbered(file):
            fields = line.rsplit(None, 1)
            if len(fields) < 2:
                message = (
                    f"line {number} has one field, {shown(line.strip())}; a path and "
                    "its score belong there, with a blank between"
                )
                raise InputError(message)
            names.append(fields[0].strip())
            texts.append(fields[1])
            lines.append(number)
    return Scores(
        source=path,
        kind=KIND,
        method=None,
        names=tuple(names),
        values=parse_numbers(texts, lines, names),
        direction=None,
        column=None,
        columns=(),
        notes=(f"{path}: scores from the last field of each line",),
    )


def numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines that are not empty, with their numbers from 1.

    Examples
    --------
    >>> list(numbered(["a 1", "", "b 2"]))
    [(1, 'a 1'), (3, 'b 2')]
    """
    return ((n, line) for n, line in enumerate(lines, start=1) if line.strip())
