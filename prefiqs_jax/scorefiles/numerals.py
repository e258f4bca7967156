"""Numbers in text files, and messages about what is no number."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import shown

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
# A number with something around it: 87%, [0.53], tensor(0.53), 1,234.5, 0.5ms, 6D-01.
_DECORATED = re.compile(
    r"\W*(?:[a-z.]+\d*\()?\W*\d[\d.,' ]*(?:[ed][+-]?\d+)?\W*[a-z]{0,3}\W*", re.I
)
# Two numbers, or one with a remark: 0.5±0.1, 5/10, 0.9 good, 12:30.
_REMARKED = re.compile(r"\d+(?:\.\d+)?\s*(?:[±/:]\s*\d+(?:\.\d+)?|\s[a-z ]+)", re.I)
_MISSING = (
    *("", "-", "--", "—", "?", ".", "none", "null", "nil", "na", "n/a", "#n/a"),
    *("missing", "failed", "failure", "fail", "error", "true", "false", "#div/0!"),
)


def parse_numbers(
    texts: Sequence[str], lines: Sequence[int], names: Sequence[str]
) -> Float[np.ndarray, " rows"]:
    """Convert text to float64, each to the number nearest to it.

    ``nan`` and ``inf`` are numbers here. Raises InputError if one is no number, with
    its line of the file, from 1, its image and what stands there.

    >>> parse_numbers(["0.5", "1e-3"], [1, 2], ["a.png", "b.png"])
    array([0.5  , 0.001])
    """
    # Python reads 1_000 as a number; in a score file it is a part of a name.
    if not any("_" in text for text in texts):
        try:
            return np.array(list(map(float, texts)), np.float64)
        except ValueError:
            pass
    row = next(row for row, text in enumerate(texts) if not is_number(text))
    found = shown(texts[row]) if texts[row].strip() else "nothing"
    cure = "correct or remove the line"
    if ends_in_decimal_comma(texts[row]):
        cure = "write numbers with a decimal point"
    elif texts[row].strip().lower() not in _MISSING and is_meant_as_number(texts[row]):
        cure = "write plain numbers, such as 0.87"
    message = (
        f"line {lines[row]}: the score of {shown(names[row])} is {found}, no number; "
        f"{cure}"
    )
    raise InputError(message)


def is_number(text: str) -> bool:
    """Return whether a text is a number, which ``nan`` and ``inf`` are.

    >>> is_number("-1.5e-3"), is_number("nan"), is_number("1_000"), is_number("")
    (True, True, False, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def is_meant_as_number(text: str) -> bool:
    """Return whether a text is a number, one with signs around it, or a missing one.

    >>> [is_meant_as_number(each) for each in ("0.5", "87%", "[0.53]", "N/A", "")]
    [True, True, True, True, True]
    >>> [is_meant_as_number(each) for each in ("ann", "7/a.png", "2024-01-31")]
    [False, False, False]
    """
    text = text.strip()
    decorated = _DECORATED.fullmatch(text) or _REMARKED.fullmatch(text)
    return is_number(text) or text.lower() in _MISSING or bool(decorated)


def ends_in_decimal_comma(line: str) -> bool:
    """Return whether the last field of a line is a number with a decimal comma.

    >>> ends_in_decimal_comma("a.png 0,53"), ends_in_decimal_comma("a.png,53")
    (True, False)
    """
    fields = line.split()
    return bool(fields and _DECIMAL_COMMA.fullmatch(fields[-1]))
