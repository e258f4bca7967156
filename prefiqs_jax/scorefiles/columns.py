"""Which columns of a table name the pictures, and which one holds their scores."""

from collections.abc import Sequence
from typing import NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.numerals import is_number
from prefiqs_jax.scorefiles.scores import Direction
from prefiqs_jax.weights.wording import listed, shown

NAME_COLUMNS = (
    "image",
    "file",
    "filename",
    "path",
    "image_path",
    "img_path",
    "image_name",
    "img",
    "name",
    "image_id",
    "img_id",
    "id",
    "key",
)
"""What columns of pictures are called, in lower case; the first that is there."""
SCORE_COLUMNS = (
    "UnifiedQualityScore.scalar",
    "UnifiedQualityScore",
    "quality",
    "score",
    "quality_score",
)
"""What columns of scores are called; the first that is there."""
OWN_COLUMNS = ("image", "quality", "drift")
OFIQ_COLUMN = "UnifiedQualityScore"
SCALAR = ".scalar"
"""How OFIQ calls a measure that it has mapped to 0 (worst) to 100."""


class Header(NamedTuple):
    """The columns of a table."""

    columns: tuple[str, ...]
    """All of them; numbered from 1 where the file does not name them."""
    named: bool
    """Whether the first line holds their names."""
    numeric: tuple[int, ...]
    """Positions of those that hold numbers."""


class Choice(NamedTuple):
    """What is read of a table."""

    name: int
    """Position of the column of the pictures."""
    value: int
    """Position of the column of the scores."""
    assessed: int | None
    """Position of the column that is -1 where OFIQ could not assess a picture."""
    method: str | None
    """The method of quality assessment, where the columns tell."""
    direction: Direction | None
    """Which scores are the better ones, where the columns tell."""


def read_header(rows: Sequence[Sequence[str]]) -> Header | None:
    """Find the columns of a table from its first rows.

    Parameters
    ----------
    rows
        Cells of the first rows, not empty.

    Returns
    -------
    Header or None
        None if they are not the rows of a table with numbers in it: one is longer than
        the first, or shorter than two cells, or no column holds a number in each row.

    Examples
    --------
    >>> read_header([["image", "quality"], ["a.png", "0.5"]])
    Header(columns=('image', 'quality'), named=True, numeric=(1,))
    >>> read_header([["a.png", "0.5"], ["b.png", "0.7"]]).columns
    ('1', '2')
    """
    if not rows:
        return None
    first = [cell.strip() for cell in rows[0]]
    named = not any(_is_numeric(cell) for cell in first)
    body = rows[1:] if named else rows
    if len(first) < 2 or any(not 2 <= len(row) <= len(first) for row in rows):
        return None
    numeric = tuple(
        column
        for column in range(len(first))
        if _holds_numbers([row[column] for row in body if len(row) > column])
    )
    empty = not body and any(cell.lower() in NAME_COLUMNS for cell in first)
    if not numeric and not empty:
        return None
    names = first if named else [str(1 + column) for column in range(len(first))]
    return Header(tuple(names), named, numeric)


def choose_columns(header: Header, column: str | None) -> Choice:
    """Choose the columns of pictures and of scores.

    Parameters
    ----------
    header
        Of the table.
    column
        The column of the scores; None for the one that is known or the only one.

    Returns
    -------
    Choice
        Pictures are in the first column that is called so, else in the first that
        holds no numbers, else in the first.

    Raises
    ------
    InputError
        If there is no such column, or several could be meant.

    References
    ----------
    ISO/IEC 29794-5 calls OFIQ's overall measure the unified quality score; the sample
    application of OFIQ writes each measure as it is and, with ``.scalar`` behind its
    name, mapped to 0 to 100, or -1 where it could not be assessed.
    """
    name = _name_column(header)
    columns = header.columns
    value = columns.index(_score_column(header, name, column))
    chosen = columns[value]
    method: str | None = None
    direction: Direction | None = None
    assessed = None
    if columns == OWN_COLUMNS:
        method, direction = "prefiqs", "lower" if chosen == "drift" else "higher"
    elif OFIQ_COLUMN in columns:
        measure = chosen.removesuffix(SCALAR)
        method = f"OFIQ {measure}"
        if measure + SCALAR in columns:
            assessed = columns.index(measure + SCALAR)
        if chosen == OFIQ_COLUMN or chosen.endswith(SCALAR):
            direction = "higher"
    return Choice(name, value, assessed, method, direction)


def score_columns(header: Header) -> tuple[str, ...]:
    """Give the named columns that hold numbers, without that of the pictures."""
    name = _name_column(header)
    found = (header.columns[n] for n in header.numeric if n != name)
    return tuple(column for column in found if column)


def _name_column(header: Header) -> int:
    lower = [column.lower() for column in header.columns]
    known = (lower.index(each) for each in NAME_COLUMNS if each in lower)
    texts = (n for n, each in enumerate(lower) if n not in header.numeric and each)
    return next(known, next(texts, 0))


def _score_column(header: Header, name: int, column: str | None) -> str:
    found = score_columns(header)
    if column is not None:
        if column not in header.columns:
            message = (
                f"has no column {shown(column)}; those with numbers are "
                f"{listed(found, 40)}"
            )
            raise InputError(message)
        if header.columns.index(column) == name:
            message = f"column {shown(column)} names the pictures; choose another one"
            raise InputError(message)
        return column
    known = [each for each in SCORE_COLUMNS if each in found]
    if known:
        return known[0]
    if len(found) == 1:
        return found[0]
    if not found:
        message = "holds no scores below its header"
        raise InputError(message)
    message = f"{len(found)} columns hold numbers, {listed(found, 40)}; choose one"
    raise InputError(message)


def _holds_numbers(cells: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in cells if cell.strip()]
    return bool(cells) and all(_is_numeric(cell) for cell in cells)


def _is_numeric(cell: str) -> bool:
    # Of numbers with a decimal comma the reader says what is wrong with them.
    return is_number(cell.strip()) or is_number(cell.strip().replace(",", ".", 1))
