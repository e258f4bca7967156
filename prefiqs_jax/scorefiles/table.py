"""Tables with commas, semicolons or tabs: our scores.csv, OFIQ, any other CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.columns import (
    OWN_COLUMNS,
    Choice,
    Header,
    choose_columns,
    read_header,
    score_columns,
)
from prefiqs_jax.scorefiles.numerals import parse_numbers
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import one_line, shown

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = {";": "semicolons", "\t": "tabs", ",": "commas"}
"""Semicolons first: between them, a comma is a decimal one."""


class Table(NamedTuple):
    """How a table is written."""

    delimiter: str
    header: Header


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
    for delimiter in DELIMITERS:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        header = read_header(rows)
        if header is not None:
            return Table(delimiter, header)
    return None


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
        If the column is missing or several could be meant, a row is longer than the
        header, or a score is no number.
    """
    choice = choose_columns(table.header, column)
    rows = _rows(path, table, choice)
    lines = (rows.index + 1).tolist()
    names = rows[choice.name].tolist()
    for line, name in zip(lines, names, strict=True):
        if not name:
            message = f"line {line} names no picture; name it or remove the line"
            raise InputError(message)
    values = parse_numbers(rows[choice.value].tolist(), lines, names)
    notes = ()
    if choice.assessed is not None:
        assessed = parse_numbers(rows[choice.assessed].tolist(), lines, names) != -1
        notes = _not_assessed(names, assessed, table.header.columns[choice.value])
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


def _rows(path: Path, table: Table, choice: Choice) -> "pd.DataFrame":
    """Read the chosen columns as text, under their positions, rows by line."""
    import pandas as pd

    wanted = sorted({choice.name, choice.value, choice.assessed} - {None})
    try:
        rows = pd.read_csv(
            path,
            sep=table.delimiter,
            header=None,
            names=list(range(len(table.header.columns))),
            usecols=wanted,
            dtype=str,
            na_filter=False,
            # So that the row tells the line.
            skip_blank_lines=False,
            encoding="utf-8-sig",
        )
    except pd.errors.ParserError as error:
        message = f"is no table throughout ({one_line(error)}); export it again"
        raise InputError(message) from error
    rows = rows.iloc[1:] if table.header.named else rows
    rows = rows.apply(lambda cells: cells.str.strip())
    return rows[(rows != "").any(axis=1)]


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
