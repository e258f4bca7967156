"""Tables with commas, semicolons, tabs or blanks: our scores.csv, OFIQ, other CSV."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.columns import (
    OWN_COLUMNS,
    Header,
    SeveralColumns,
    choose_columns,
    fits,
    read_header,
    score_columns,
)
from prefiqs_jax.scorefiles.numerals import (
    ends_in_decimal_comma,
    is_number,
    parse_numbers,
)
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import shown

DELIMITERS = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "blanks"}
"""Semicolons first: between them, a comma is a decimal one."""


class Table(NamedTuple):
    """How a table is written."""

    delimiter: str
    header: Header


class _Cells(NamedTuple):
    """Some columns of a table, without its header."""

    lines: list[int]
    """The line of each row."""
    cells: list[list[str]]
    """Column by column."""


def find_table(lines: Sequence[str]) -> Table | None:
    """Find out whether lines are those of a table, and how it is written.

    Parameters
    ----------
    lines
        The first lines of a file, none of them empty.

    Returns
    -------
    Table or None
        None if no delimiter gives rows with a column of numbers.

    Examples
    --------
    >>> find_table(["a, b.png 0.5", "c, d.png 0.7"]) is None
    True
    >>> find_table(["image,quality", "a.png,0.5"]).delimiter
    ','
    """
    if lines and lines[0].startswith("sep="):
        message = "line 1 is Excel's sep=; remove it"
        raise InputError(message)
    for delimiter in DELIMITERS:
        if delimiter == "," and all(map(ends_in_decimal_comma, lines)):
            continue
        try:
            rows = list(_reader(lines, delimiter))
        except csv.Error:
            continue
        header = read_header(rows)
        if header and (delimiter != " " or _has_blanks_only_between(rows, header)):
            return Table(delimiter, header)
    return None


def _reader(lines: Iterable[str], delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")


def _has_blanks_only_between(rows: Sequence[Sequence[str]], header: Header) -> bool:
    """Tell columns between blanks from a path, with blanks in it, and a score."""
    columns = len(header.columns)
    return (
        (header.named or columns > 2)
        and all(fits(row, header.columns) for row in rows)
        and header.paths == (0,)
        and header.numeric == tuple(range(1, columns))
    )


def read_table(path: Path, table: Table, column: str | None) -> Scores:
    """Read one column of a table.

    Parameters
    ----------
    path
        UTF-8 text.
    table
        How it is written.
    column
        The column of the scores; None for the one that is known or the only one.

    Returns
    -------
    Scores
        Of a table of this package or of OFIQ, with method and direction. Where OFIQ
        could not assess a picture, its mapped measures are -1, the worst; of the
        others, the score is NaN.

    Raises
    ------
    InputError
        If the column is missing or several could be meant, a row is longer or shorter
        than the header, or a score is no number.
    """
    try:
        choice = choose_columns(table.header, column)
    except SeveralColumns as error:
        error.args = (f"{error}{_first_bad(path, table, error.positions)}",)
        raise
    wanted = [choice.name, choice.value]
    if choice.assessed is not None:
        wanted.append(choice.assessed)
    lines, (names, texts, *assessments) = _read_cells(path, table, wanted)
    for line, name in zip(lines, names, strict=True):
        if not name:
            message = f"line {line} names no picture; name it or remove the line"
            raise InputError(message)
    values = parse_numbers(texts, lines, names)
    name, value = (shown(table.header.columns[n]) for n in wanted[:2])
    notes = (
        f"{path}: scores from column {value} ({choice.why}), pictures from column "
        f"{name}",
    )
    for each in assessments:
        assessed = parse_numbers(each, lines, names) != -1
        notes += _not_assessed(names, assessed, table.header.columns[choice.value])
        if choice.assessed != choice.value:
            values = np.where(assessed, values, np.nan)
    columns = table.header.columns
    ours = columns == OWN_COLUMNS
    delimiter = DELIMITERS[table.delimiter]
    return Scores(
        source=path,
        kind="a table of prefiqs score" if ours else f"a table with {delimiter}",
        method=choice.method,
        names=tuple(names),
        values=values,
        direction=choice.direction,
        column=columns[choice.value],
        columns=score_columns(table.header),
        notes=notes,
    )


def _read_cells(path: Path, table: Table, columns: Sequence[int]) -> _Cells:
    """Read the chosen columns, in their order, and the line of each row."""
    header = table.header
    cells: list[list[str]] = [[] for _ in columns]
    lines: list[int] = []
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = _reader(file, table.delimiter)
        try:
            for row in reader:
                if not any(row):
                    continue
                if not fits(row, header.columns):
                    message = (
                        f"line {reader.line_num} has {len(row)} cells, but there are "
                        f"{len(header.columns)} columns; write empty cells, too, and "
                        f"quotes around what has {DELIMITERS[table.delimiter]} in it"
                    )
                    raise InputError(message)
                lines.append(reader.line_num)
                for column, found in zip(columns, cells, strict=True):
                    found.append(row[column].strip() if column < len(row) else "")
        except csv.Error as error:
            message = f"line {reader.line_num} is no valid CSV ({error}); export again"
            raise InputError(message) from error
    start = int(header.named)
    return _Cells(lines[start:], [found[start:] for found in cells])


def _first_bad(path: Path, table: Table, columns: Sequence[int]) -> str:
    """Say which of the cells of some columns is the first that is no number."""
    lines, cells = _read_cells(path, table, columns)
    for line, *row in zip(lines, *cells, strict=True):
        for column, cell in zip(columns, row, strict=True):
            if not is_number(cell):
                name = shown(table.header.columns[column])
                return (
                    f"; in line {line}, {name} is {shown(cell) if cell else 'nothing'}"
                )
    return ""


def _not_assessed(
    names: Sequence[str], assessed: np.ndarray, column: str
) -> tuple[str, ...]:
    count = int(np.sum(~assessed))
    if count == 0:
        return ()
    first = shown(names[int(np.argmin(assessed))])
    note = (
        f"OFIQ could not assess {count} pictures (first: {first}): "
        f"{column} is -1 there, the worst"
    )
    if not column.endswith(".scalar"):
        note = f"OFIQ could not assess {count} pictures (first: {first}): no {column}"
    return (note,)
