"""One-line wording for what is wrong with a file that somebody else wrote."""

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefiqs_jax.errors import InputError

AGAIN = "get the file again"


def shown(name: object, width: int = 80) -> str:
    """Return a name from a file on one printable line of limited width.

    >>> shown("fc.weight")
    'fc.weight'
    >>> len(shown("two" + chr(10) + "lines").splitlines())
    1
    """
    text = str(name)
    # A crafted or damaged file may hold line breaks or terminal codes in its names.
    text = text if text and text.isprintable() else repr(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def listed(names: Iterable[object], limit: int = 3) -> str:
    """Return the first few names and the number of the others.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    names = list(names)
    text = ", ".join(shown(name) for name in names[:limit])
    rest = len(names) - limit
    return f"{text} and {rest} more" if rest > 0 else text


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as lines of columns, each as wide as its widest cell.

    >>> aligned([["a", "bc", "d"], ["efg", "", "h"]])
    ['a    bc  d', 'efg      h']
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [map(str.ljust, row, widths) for row in rows]
    return ["  ".join(line).rstrip() for line in cells]


def in_columns(
    rows: Iterable[Sequence[str]], widths: Sequence[int], indent: str = "  "
) -> list[str]:
    """Return rows as lines of columns of these widths, whose cells wrap.

    >>> in_columns([["abc", "one two three", "d"]], [4, 8, 2], "")
    ['abc   one two   d', '      three']
    """
    lines = []
    for row in rows:
        cells = [
            textwrap.wrap(cell, width, break_long_words=False) or [""]
            for cell, width in zip(row, widths, strict=True)
        ]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            padded = map(str.ljust, parts, widths)
            lines.append((indent + "  ".join(padded)).rstrip())
    return lines


def one_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {shown(lines[0], 160)}" if lines else kind


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the path in front of the message of any `InputError` raised inside.

    The error stays the same object, so its type and what it carries survive.
    """
    try:
        yield
    except InputError as error:
        error.args = (f"{path}: {error}",)
        raise


@contextmanager
def parsing(cure: str = AGAIN) -> Iterator[None]:
    """Turn whatever a parser raises on damaged bytes into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    # The parsers of zip, pickle and protobuf let nearly every built-in exception
    # escape on damaged bytes (KeyError, struct.error, AssertionError ...), so a list
    # of them would never be complete.
    except Exception as error:
        message = f"damaged or not what its extension says ({one_line(error)}); {cure}"
        raise InputError(message) from error
