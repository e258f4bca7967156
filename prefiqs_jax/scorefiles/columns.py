"""Which columns of a table name the pictures, and which one holds their scores."""

from collections.abc import Sequence
from typing import NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.numerals import is_meant_as_number, is_number
from prefiqs_jax.scorefiles.paths import without_ending
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
    "unifiedqualityscore.scalar",
    "unifiedqualityscore",
    "quality",
    "quality_score",
    "qualityscore",
    "score",
    "scores",
)
"""What columns of scores are called, in lower case; the first that is there."""
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
    """Positions of those that hold numbers, or are meant to: bad cells do not count a
    column out, lest another one be taken in its place."""
    paths: tuple[int, ...]
    """Positions of those that hold nothing but paths of pictures."""


class Choice(NamedTuple):
    """What is read of a table."""

    name: int
    """Position of the column of the pictures."""
    value: int
    """Position of the column of the scores."""
    assessed: int | None
    """Position of the column that is -1 where OFIQ could not assess a picture."""
    why: str
    """Why that column, in words."""
    method: str | None
    """The method of quality assessment, where the columns tell."""
    direction: Direction | None
    """Which scores are the better ones, where the columns tell."""


class SeveralColumns(InputError):
    """Several columns could be meant; ``positions`` says which."""

    def __init__(self, message: str, positions: tuple[int, ...]) -> None:
        super().__init__(message)
        self.positions = positions


def read_header(rows: Sequence[Sequence[str]]) -> Header | None:
    """Find the columns of a table from its first rows.

    Parameters
    ----------
    rows
        Cells of the first rows, not empty.

    Returns
    -------
    Header or None
        None if they are not the rows of a table with numbers in it: shorter than two
        cells, or, where no column is known by its name, of different lengths or without
        a column that is meant to hold numbers.

    Examples
    --------
    >>> read_header([["image", "quality"], ["a.png", "0.5"]]).columns
    ('image', 'quality')
    >>> read_header([["a.png", "None"], ["b.png", "0.7"]])
    Header(columns=('1', '2'), named=False, numeric=(1,), paths=(0,))
    """
    if not rows or len(rows[0]) < 2:
        return None
    first = [cell.strip() for cell in rows[0]]
    below = _columns(rows[1:], first)
    known = any(cell.lower() in NAME_COLUMNS + SCORE_COLUMNS for cell in first)
    named = known or _is_header(first, below)
    body = below if named else _columns(rows, first)
    numbers = any(cell and is_meant_as_number(cell) for cells in body for cell in cells)
    if not known and not (numbers and all(fits(row, first) for row in rows)):
        return None
    names = first if named else [str(1 + column) for column in range(len(first))]
    return Header(
        tuple(names),
        named,
        tuple(n for n, cells in enumerate(body) if _meant_as_numbers(cells)),
        tuple(n for n, cells in enumerate(body) if cells and all(map(_is_path, cells))),
    )


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
        Pictures are in the first column that is called so, else in the first of
        nothing but paths, else in the first that holds no numbers, else in the first.

    Raises
    ------
    InputError
        If there is no such column or two; :class:`SeveralColumns` if several could be
        meant.

    References
    ----------
    ISO/IEC 29794-5 calls OFIQ's overall measure the unified quality score; the sample
    application of OFIQ writes each measure as it is and, with ``.scalar`` behind its
    name, mapped to 0 to 100, or -1 where it could not be assessed.
    """
    name = _name_column(header)
    columns = header.columns
    value, why = _score_column(header, name, column)
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
    return Choice(name, value, assessed, why, method, direction)


def score_columns(header: Header) -> tuple[str, ...]:
    """Give the named columns meant to hold numbers, without that of the pictures."""
    name = _name_column(header)
    found = (header.columns[n] for n in header.numeric if n != name)
    return tuple(column for column in found if column)


def fits(row: Sequence[str], first: Sequence[str]) -> bool:
    """Return whether a row has a cell for each column, and none beyond them.

    Columns without name at the end may be absent, and empty cells be too many: some
    programs write a delimiter behind every line, or behind the header only.

    Examples
    --------
    >>> header = ["image", "quality", ""]
    >>> [fits(["a.png", *cells], header) for cells in (["1"], ["1", "", ""], [])]
    [True, True, False]
    """
    return _width(row) <= len(first) and len(row) >= _width(first)


def _width(row: Sequence[str]) -> int:
    return max((n for n, cell in enumerate(row, start=1) if cell.strip()), default=0)


def _columns(rows: Sequence[Sequence[str]], first: Sequence[str]) -> list[list[str]]:
    """Give the cells of each column, where rows reach it."""
    return [
        [row[column].strip() for row in rows if len(row) > column]
        for column in range(len(first))
    ]


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Tell names of columns from a row of data, even if one of its cells is bad."""
    paths = [n for n, cells in enumerate(below) if cells and all(map(_is_path, cells))]
    if paths:
        return not any(_is_path(first[n]) for n in paths)
    if any(map(_is_path, first)):
        return False
    words = [cell for cell in first if cell]
    # So pandas numbers columns that have no names.
    counted = words == [str(n) for n in range(len(words))]
    if counted and not all(map(_meant_as_numbers, below)):
        return True
    return not any(map(is_meant_as_number, words))


def _is_path(cell: str) -> bool:
    if without_ending(cell) != cell:
        return True
    letters = any(map(str.isalpha, cell)) and ("/" in cell or "\\" in cell)
    return letters and not is_meant_as_number(cell)


def _name_column(header: Header) -> int:
    lower = [column.lower() for column in header.columns]
    known = (lower.index(each) for each in NAME_COLUMNS if each in lower)
    texts = (n for n, each in enumerate(lower) if n not in header.numeric and each)
    return next(known, next(iter(header.paths), next(texts, 0)))


def _score_column(header: Header, name: int, column: str | None) -> tuple[int, str]:
    """Give the position of the column of the scores, and why it is this one."""
    found = score_columns(header)
    columns = list(header.columns)
    if column is not None:
        if column not in columns:
            message = (
                f"has no column {shown(column)}; those with numbers are "
                f"{listed(found, 40)}"
            )
            raise InputError(message)
        if columns.index(column) == name:
            message = f"column {shown(column)} names the pictures; choose another one"
            raise InputError(message)
        return _only(columns, column), "the one that was asked for"
    columns = [each.lower().replace(" ", "_").replace("-", "_") for each in columns]
    known = [each for each in SCORE_COLUMNS if each in columns]
    if known:
        return _only(columns, known[0]), "named so"
    if len(found) == 1:
        return _only(header.columns, found[0]), "the only one meant to hold numbers"
    if not found:
        message = "holds no scores below its header"
        raise InputError(message)
    positions = tuple(n for n in header.numeric if n != name and header.columns[n])
    message = (
        f"{len(found)} columns are meant to hold numbers, {listed(found, 40)}; choose "
        "one (--column NAME=COLUMN), or call the right one quality"
    )
    raise SeveralColumns(message, positions)


def _only(columns: Sequence[str], column: str) -> int:
    if columns.count(column) > 1:
        message = (
            f"{columns.count(column)} columns are called {shown(column)}; rename all "
            "but the one with the scores"
        )
        raise InputError(message)
    return columns.index(column)


def _meant_as_numbers(cells: Sequence[str]) -> bool:
    """Return whether one cell is a number, or all are numbers with signs or missing."""
    return any(map(_is_numeric, cells)) or all(map(is_meant_as_number, cells))


def _is_numeric(cell: str) -> bool:
    # Of numbers with a decimal comma the reader says what is wrong with them.
    return is_number(cell) or is_number(cell.replace(",", ".", 1))
