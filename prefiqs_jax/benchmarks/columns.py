"""Read long text files of columns, and name the line that is bad."""

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Int

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.tables import reading

# Strings of this many lines are in memory at once.
CHUNK_LINES = 2**20


def _label(word: str) -> None:
    if int(word) not in (0, 1):
        raise ValueError


def _finite(word: str) -> None:
    if not math.isfinite(float(word)):
        raise ValueError


class _Kind(NamedTuple):
    """How pandas reads a kind of column, what refuses a bad word, and its name."""

    dtype: Any
    check: Callable[[str], Any]
    what: str


_KINDS: Mapping[str, _Kind] = {
    "name": _Kind(str, str, "a name"),
    "whole": _Kind(np.int64, int, "a whole number"),
    "number": _Kind(np.float64, _finite, "a finite number"),
    "label": _Kind(np.int64, _label, "1 (mated) or 0 (non-mated)"),
}


def read_columns(path: Path, kinds: Mapping[str, str]) -> list[Any]:
    """Read a file whose lines all have the same columns, without a header, in UTF-8.

    `kinds` is ``"name"``, ``"whole"``, ``"number"`` or ``"label"`` (0 or 1) for each
    column, by what it is, for messages. Gives a column each: a pandas Categorical for
    names, or an array of int64, float64, or bool for labels. InputError if the file is
    absent, unreadable, empty or not UTF-8, or a line, named by its number, has other
    columns.
    """
    import pandas as pd

    form: dict[str, Any] = {
        "sep": r"\s+",
        "header": None,
        "dtype": {n: _KINDS[kind].dtype for n, kind in enumerate(kinds.values())},
        "na_filter": False,
        "quoting": csv.QUOTE_NONE,
        "encoding": "utf-8-sig",
    }
    pieces: list[list[Any]] = [[] for _ in kinds]
    with reading(path):
        try:
            chunks: Any = pd.read_csv(path, chunksize=CHUNK_LINES, **form)
            with chunks:
                for chunk in chunks:
                    if chunk.shape[1] != len(kinds):
                        _refuse(path, kinds, "other columns")
                    for place, kind in enumerate(kinds.values()):
                        piece = chunk[place]
                        is_name = kind == "name"
                        pieces[place].append(
                            piece.astype("category") if is_name else piece
                        )
            return [_whole(*each) for each in zip(kinds.values(), pieces, strict=True)]
        except (InputError, UnicodeDecodeError):
            raise
        # pandas has several errors for what does not fit; all are ValueErrors.
        except (ValueError, OverflowError) as error:
            _refuse(path, kinds, str(error))


def _whole(kind: str, pieces: Sequence[Any]) -> Any:
    """Join the pieces of a column; ValueError if there are words that do not fit."""
    if kind == "name":
        from pandas.api.types import union_categoricals

        return union_categoricals(pieces)
    values = np.concatenate(pieces)
    if kind == "number" and not np.isfinite(values).all():
        raise ValueError
    if kind == "label":
        if not ((values == 0) | (values == 1)).all():
            raise ValueError
        return values == 1
    return values


def numbered(*columns: Any) -> tuple[list[str], list[Int[np.ndarray, " lines"]]]:
    """Give numbers to the different names in several Categorical columns.

    Gives all names, sorted, and each column as int32 indices into them.

    >>> import pandas as pd
    >>> columns = pd.Categorical(["b", "a"]), pd.Categorical(["c", "c"])
    >>> names, numbers = numbered(*columns)
    >>> names, [each.tolist() for each in numbers]
    (['a', 'b', 'c'], [[1, 0], [2, 2]])
    """
    names = sorted(set().union(*(column.categories for column in columns)))
    place = {name: index for index, name in enumerate(names)}
    return names, [
        np.array([place[name] for name in column.categories], np.int32)[column.codes]
        for column in columns
    ]


def _refuse(path: Path, kinds: Mapping[str, str], reason: str) -> NoReturn:
    """Say which line is the first that does not fit."""
    layout = " ".join(kinds)
    what = " ".join(reason.split())
    unread = f"{path} cannot be read ({what}); lines are: {layout}"
    message = f"{path} is empty; each line is: {layout}"
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            words = re.split(r"[ \t]+", line.strip())
            if words == [""]:
                continue
            if problem := _problem(words, list(kinds.values())):
                message = f"{path}, line {number}: {problem}; each line is: {layout}"
                break
            message = unread
    raise InputError(message)


def _problem(words: Sequence[str], kinds: Sequence[str]) -> str:
    if len(words) != len(kinds):
        return f"{len(words)} columns in place of {len(kinds)}"
    for word, kind in zip(words, kinds, strict=True):
        try:
            _KINDS[kind].check(word)
        except ValueError:
            return f"{word!r} is not {_KINDS[kind].what}"
    return ""
