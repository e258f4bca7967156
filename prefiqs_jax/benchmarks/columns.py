"""Read long text files of columns, and name the line that is bad."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from prefiqs_jax.errors import InputError


def _label(word: str) -> None:
    if int(word) not in (0, 1):
        raise ValueError


# How a word is checked, and what it should have been.
_CHECKS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "name": (str, "a name"),
    "whole": (int, "a whole number"),
    "number": (float, "a number"),
    "label": (_label, "1 (mated) or 0 (non-mated)"),
}
_DTYPES: Mapping[str, Any] = {
    "name": "category",
    "whole": np.int64,
    "number": np.float64,
    "label": np.int64,
}


def read_columns(path: Path, kinds: Mapping[str, str]) -> list[Any]:
    """Read a file whose lines all have the same columns and no header.

    Parameters
    ----------
    path
        UTF-8 text; blanks or tabs between the columns.
    kinds
        ``"name"``, ``"whole"``, ``"number"`` or ``"label"`` (0 or 1) for each column,
        by what it is, for messages.

    Returns
    -------
    list
        A column each: a pandas Categorical of strings for names, int64 for whole
        numbers, float64 for numbers, bool for labels.

    Raises
    ------
    InputError
        If the file is absent, unreadable, empty or not UTF-8, or a line has other
        columns: it is named by its number.
    """
    import pandas as pd

    wanted = list(kinds.values())
    try:
        table = pd.read_csv(
            path,
            sep=r"\s+",
            header=None,
            dtype={place: _DTYPES[kind] for place, kind in enumerate(wanted)},
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8-sig",
        )
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise InputError(message) from None
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8 text; save it as UTF-8"
        raise InputError(message) from None
    # pandas has several errors for what does not fit; all are ValueErrors.
    except (ValueError, OverflowError) as error:
        _refuse(path, kinds, str(error))
    labels = [table[place] for place, kind in enumerate(wanted) if kind == "label"]
    if table.shape[1] != len(wanted) or not all(
        each.isin((0, 1)).all() for each in labels
    ):
        _refuse(path, kinds, "columns differ")
    return [
        table[place].array
        if kind == "name"
        else table[place].to_numpy() == 1
        if kind == "label"
        else table[place].to_numpy()
        for place, kind in enumerate(wanted)
    ]


def numbered(*columns: Any) -> tuple[list[str], list[np.ndarray]]:
    """Give numbers to the different names in several columns.

    Parameters
    ----------
    columns
        pandas Categoricals of strings.

    Returns
    -------
    names
        All different ones, sorted.
    numbers
        int32, of each column: index into `names`.
    """
    names = sorted(set().union(*(map(str, each.categories) for each in columns)))
    place = {name: index for index, name in enumerate(names)}
    coded = []
    for column in columns:
        of_category = np.array([place[str(n)] for n in column.categories], np.int32)
        coded.append(of_category[np.asarray(column.codes)])
    return names, coded


def _refuse(path: Path, kinds: Mapping[str, str], reason: str) -> NoReturn:
    """Say which line is the first that does not fit."""
    layout = " ".join(kinds)
    any_line = False
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            words = re.split(r"[ \t]+", line.strip())
            if words == [""]:
                continue
            any_line = True
            if problem := _problem(words, list(kinds.values())):
                message = f"{path}, line {number}: {problem}; each line is: {layout}"
                raise InputError(message)
    if not any_line:
        message = f"{path} is empty; each line is: {layout}"
        raise InputError(message)
    message = f"{path} cannot be read ({' '.join(reason.split())}); lines are: {layout}"
    raise InputError(message)


def _problem(words: Sequence[str], kinds: Sequence[str]) -> str:
    if len(words) != len(kinds):
        return f"{len(words)} columns in place of {len(kinds)}"
    for word, kind in zip(words, kinds, strict=True):
        check, what = _CHECKS[kind]
        try:
            check(word)
        except ValueError:
            return f"{word!r} is not {what}"
    return ""
