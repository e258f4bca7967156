"""Tables with commas, semicolons, tabs or blanks: our scores.csv, OFIQ, other CSV."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.columns import (
    OWN_COLUMNS,
    SCALAR,
    Header,
    SeveralColumns,
    choose_columns,
    fits,
    read_header,
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


_EXCEL = "sep="
"""How the first line begins where Excel is told the delimiter."""


class Table(NamedTuple):
    """How a table is written."""

    delimiter: str
    header: Header


def find_table(lines: Sequence[str]) -> Table | None:
    """Find out whether lines are those of a table, and how it is written.

    None if no delimiter gives rows with a column of numbers.

    >>> find_table(["a, b.png 0.5", "c, d.png 0.7"]) is None
    True
    >>> find_table(["image,quality", "a.png,0.5"]).delimiter
    ','
    """
    lines = lines[bool(lines) and lines[0].startswith(_EXCEL) :]
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


def read_table(path: Path, table: Table, column: str | None) -> Scores:
    """Read one column of a table: that of the scores, which may be named.

    Method and direction are known of a table of this package or of OFIQ. Where OFIQ
    could not assess an image, its mapped measures are -1, the worst, and the others
    NaN. Raises InputError if the column is missing or several could be meant, a row is
    longer or shorter than the header, or a score is no number.
    """
    header = table.header
    try:
        choice = choose_columns(header, column)
    except SeveralColumns as error:
        error.args = (f"{error}{_first_bad(path, table)}",)
        raise
    assessed = [] if choice.assessed is None else [choice.assessed]
    wanted = [header.name, choice.value, *assessed]
    lines, names, texts, *mapped = _read_cells(path, table, wanted)
    if "" in names:
        message = (
            f"line {lines[names.index('')]} names no image; name it or remove the line"
        )
        raise InputError(message)
    values = parse_numbers(texts, lines, names)
    chosen = header.columns[choice.value]
    notes = [
        f"{path}: scores from column {shown(chosen)} ({choice.why}), "
        f"images from column {shown(header.columns[header.name])}"
    ]
    for each in mapped:
        failed = parse_numbers(each, lines, names) == -1
        if failed.any():
            scalar = chosen.endswith(SCALAR)
            notes.append(
                f"OFIQ could not assess {failed.sum()} images (first: "
                f"{shown(names[int(np.argmax(failed))])}): "
                + (f"{chosen} is -1 there, the worst" if scalar else f"no {chosen}")
            )
        if choice.assessed != choice.value:
            values = np.where(failed, np.nan, values)
    ours = header.columns == OWN_COLUMNS
    return Scores(
        source=path,
        kind="a table of prefiqs score"
        if ours
        else f"a table with {DELIMITERS[table.delimiter]}",
        names=tuple(names),
        values=values,
        method=choice.method,
        direction=choice.direction,
        column=chosen,
        columns=tuple(header.columns[n] for n in header.scores),
        notes=tuple(notes),
    )


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


def _read_cells(path: Path, table: Table, columns: Sequence[int]) -> list[list[Any]]:
    """Give the line of each row below the header, and the cells of some columns."""
    header = table.header
    found: list[list[Any]] = [[] for _ in (0, *columns)]
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = _reader(file, table.delimiter)
        try:
            for row in reader:
                first = reader.line_num == 1 and row[:1] and row[0].startswith(_EXCEL)
                if first or not any(row):
                    continue
                if not fits(row, header.columns):
                    message = (
                        f"line {reader.line_num} has {len(row)} cells, but there are "
                        f"{len(header.columns)} columns; write empty cells, too, and "
                        f"quotes around what has {DELIMITERS[table.delimiter]} in it"
                    )
                    raise InputError(message)
                found[0].append(reader.line_num)
                for column, cells in zip(columns, found[1:], strict=True):
                    cells.append(row[column].strip() if column < len(row) else "")
        except csv.Error as error:
            message = f"line {reader.line_num} is no valid CSV ({error}); export again"
            raise InputError(message) from error
    return [cells[int(header.named) :] for cells in found]


def _first_bad(path: Path, table: Table) -> str:
    """Say which cell of the columns of scores is the first that is no number."""
    columns = table.header.scores
    for line, *row in zip(*_read_cells(path, table, columns), strict=True):
        for column, cell in zip(columns, row, strict=True):
            if not is_number(cell):
                name = shown(table.header.columns[column])
                what = shown(cell) if cell else "nothing"
                return f"; in line {line}, {name} is {what}"
    return ""
