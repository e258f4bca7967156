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


def _label(word: str) -> None:
    if int(word) not in (0, 1):
        raise ValueError


def _finite(word: str) -> None:
    if not math.isfinite(float(word)):
        raise ValueError


# How a word is checked, and what it should have been.
_CHECKS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "name": (str, "a name"),
    "whole": (int, "a whole number"),
    "number": (_finite, "a finite number"),
    "label": (_label, "1 (mated) or 0 (non-mated)"),
}
_DTYPES: Mapping[str, Any] = {
    "name": str,
    "whole": np.int64,
    "number": np.float64,
    "label": np.int64,
}


_RESULTS: Mapping[str, Any] = {**_DTYPES, "name": np.int32, "label": bool}
# Strings of this many lines are in memory at once.
CHUNK_LINES = 2**20


class Names(NamedTuple):
    """A column of names, which occur many times."""

    distinct: list[str]
    """The different ones, in order of appearance."""
    codes: Int[np.ndarray, " lines"]
    """int32: index of each line's name."""


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
        A column each: `Names`, or an array of int64 for whole numbers, float64 for
        numbers, bool for labels.

    Raises
    ------
    InputError
        If the file is absent, unreadable, empty or not UTF-8, or a line has other
        columns: it is named by its number.
    """
    import pandas as pd

    parts = {what: Column(kind) for what, kind in kinds.items()}
    try:
        with pd.read_csv(
            path,
            sep=r"\s+",
            header=None,
            dtype={place: _DTYPES[kind] for place, kind in enumerate(kinds.values())},
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8-sig",
            chunksize=CHUNK_LINES,
        ) as chunks:
            for chunk in chunks:
                if chunk.shape[1] != len(kinds):
                    _refuse(path, kinds, "other columns")
                for place, part in enumerate(parts.values()):
                    part.add(chunk[place])
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise InputError(message) from None
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8 text; save it as UTF-8"
        raise InputError(message) from None
    except InputError:
        raise
    # pandas has several errors for what does not fit; all are ValueErrors.
    except (ValueError, OverflowError) as error:
        _refuse(path, kinds, str(error))
    return [part.whole() for part in parts.values()]


class Column:
    """A column while it is read, piece by piece."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.number: dict[str, int] = {}
        self.pieces: list[np.ndarray] = [np.empty(0, _RESULTS[kind])]

    def add(self, piece: Any) -> None:
        """Add the next lines, a pandas Series; ValueError if they do not fit."""
        if self.kind == "name":
            import pandas as pd

            codes, distinct = pd.factorize(piece)
            number = self.number
            new = [number.setdefault(name, len(number)) for name in distinct.tolist()]
            self.pieces.append(np.array(new, np.int32)[codes])
            return
        values = piece.to_numpy()
        if self.kind == "label":
            if not np.isin(values, (0, 1)).all():
                raise ValueError
            values = values == 1
        if self.kind == "number" and not np.isfinite(values).all():
            raise ValueError
        self.pieces.append(values)

    def whole(self) -> Any:
        """Give all lines."""
        values = np.concatenate(self.pieces)
        return Names(list(self.number), values) if self.kind == "name" else values


def numbered(*columns: Names) -> tuple[list[str], list[Int[np.ndarray, " lines"]]]:
    """Give numbers to the different names in several columns.

    Returns
    -------
    names
        All different ones, sorted.
    numbers
        int32, of each column: index into `names`.

    Examples
    --------
    >>> one, other = Names(["b", "a"], np.array([0, 1])), Names(["c"], np.array([0, 0]))
    >>> names, numbers = numbered(one, other)
    >>> names, [each.tolist() for each in numbers]
    (['a', 'b', 'c'], [[1, 0], [2, 2]])
    """
    names = sorted(set().union(*(each.distinct for each in columns)))
    place = {name: index for index, name in enumerate(names)}
    coded = []
    for column in columns:
        of_name = np.array([place[name] for name in column.distinct], np.int32)
        coded.append(of_name[column.codes])
    return names, coded


def _refuse(path: Path, kinds: Mapping[str, str], reason: str) -> NoReturn:
    """Say which line is the first that does not fit."""
    layout = " ".join(kinds)
    any_line = False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
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
