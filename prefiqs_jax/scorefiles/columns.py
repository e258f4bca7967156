"""Which columns of a table name the images, and which one holds their scores."""

from collections.abc import Sequence
from typing import NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.pairing import without_ending
from prefiqs_jax.scorefiles.numerals import is_meant_as_number, is_number
from prefiqs_jax.scorefiles.scores import Direction
from prefiqs_jax.weights.wording import listed, shown

NAME_COLUMNS = (
    *("image", "file", "filename", "path", "image_path", "img_path", "image_name"),
    *("img", "name", "image_id", "img_id", "id", "key"),
)
"""What columns of images are called, in lower case; the first that is there."""
SCORE_COLUMNS = (
    *("unifiedqualityscore.scalar", "unifiedqualityscore", "quality"),
    *("quality_score", "qualityscore", "score", "scores"),
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
    """Positions of those that hold nothing but paths of images."""

    @property
    def name(self) -> int:
        """Position of the column of the images."""
        lower = [column.lower() for column in self.columns]
        known = (lower.index(each) for each in NAME_COLUMNS if each in lower)
        texts = (n for n, each in enumerate(lower) if n not in self.numeric and each)
        return next(known, next(iter(self.paths), next(texts, 0)))

    @property
    def scores(self) -> tuple[int, ...]:
        """Positions of the named columns meant to hold numbers, but for the images'."""
        return tuple(n for n in self.numeric if n != self.name and self.columns[n])


class Choice(NamedTuple):
    """What is read of a table."""

    value: int
    """Position of the column of the scores."""
    why: str
    """Why that column, in words."""
    assessed: int | None = None
    """Position of the column that is -1 where OFIQ could not assess an image."""
    method: str | None = None
    """The method of quality assessment, where the columns tell."""
    direction: Direction | None = None
    """Which scores are the better ones, where the columns tell."""


class SeveralColumns(InputError):
    """Several columns could be meant."""


def read_header(rows: Sequence[Sequence[str]]) -> Header | None:
    """Find the columns of a table from its first rows.

    None if they are not the rows of a table with numbers in it: shorter than two cells,
    or, where no column is known by its name, of different lengths or without a column
    that is meant to hold numbers.

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
    """Choose the column of scores: as asked for, else one that is known, or the only.

    ISO/IEC 29794-5 calls OFIQ's overall measure the unified quality score; the sample
    application of OFIQ writes each measure as it is and, with ``.scalar`` behind its
    name, mapped to 0 to 100, or -1 where it could not be assessed.

    Raises InputError if there is no such column or two; :class:`SeveralColumns` if
    several could be meant.
    """
    columns = header.columns
    value, why = _score_column(header, column)
    chosen = columns[value]
    if columns == OWN_COLUMNS:
        better = "lower" if chosen == "drift" else "higher"
        return Choice(value, why, method="prefiqs", direction=better)
    if OFIQ_COLUMN not in columns:
        return Choice(value, why)
    measure = chosen.removesuffix(SCALAR)
    mapped = measure + SCALAR
    return Choice(
        value,
        why,
        columns.index(mapped) if mapped in columns else None,
        f"OFIQ {measure}",
        "higher" if chosen in (OFIQ_COLUMN, mapped) else None,
    )


def fits(row: Sequence[str], first: Sequence[str]) -> bool:
    """Return whether a row has a cell for each column, and none beyond them.

    Columns without name at the end may be absent, and empty cells be too many: some
    programs write a delimiter behind every line, or behind the header only.

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
    """Return whether a row holds names of columns, and no data with a bad cell."""
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
    letters = any(map(str.isalpha, cell)) and ("/" in cell or "\\" in cell)
    return without_ending(cell) != cell or (letters and not is_meant_as_number(cell))


def _score_column(header: Header, column: str | None) -> tuple[int, str]:
    """Give the position of the column of the scores, and why it is this one."""
    columns = header.columns
    found = [columns[n] for n in header.scores]
    if column is not None:
        if column not in columns:
            message = (
                f"has no column {shown(column)}; those with numbers are "
                f"{listed(found, 40)}"
            )
            raise InputError(message)
        if columns.index(column) == header.name:
            message = f"column {shown(column)} names the images; choose another one"
            raise InputError(message)
        return _only(columns, column), "the one that was asked for"
    plain = [each.lower().replace(" ", "_").replace("-", "_") for each in columns]
    if known := [each for each in SCORE_COLUMNS if each in plain]:
        return _only(plain, known[0]), "named so"
    if len(found) == 1:
        return _only(columns, found[0]), "the only one meant to hold numbers"
    if not found:
        message = "holds no scores below its header"
        raise InputError(message)
    message = (
        f"{len(found)} columns are meant to hold numbers, {listed(found, 40)}; choose "
        "one (--column NAME=COLUMN), or call the right one quality"
    )
    raise SeveralColumns(message)


def _only(columns: Sequence[str], column: str) -> int:
    count = list(columns).count(column)
    if count > 1:
        message = (
            f"{count} columns are called {shown(column)}; rename all but the one with "
            "the scores"
        )
        raise InputError(message)
    return columns.index(column)


def _meant_as_numbers(cells: Sequence[str]) -> bool:
    """Return whether one cell is a number, or all are numbers with signs or missing."""
    # Of numbers with a decimal comma the reader says what is wrong with them.
    plain = any(
        is_number(cell) or is_number(cell.replace(",", ".", 1)) for cell in cells
    )
    return plain or all(map(is_meant_as_number, cells))
