"""Say many things in one line."""

from collections.abc import Sequence

_NAMED = 3


def some(names: Sequence[str]) -> str:
    """Name the first few and count the rest.

    Examples
    --------
    >>> some(["a", "b"]), some(list("abcde"))
    ('a, b', 'a, b, c and 2 more')
    """
    text = ", ".join(names[:_NAMED])
    return f"{text} and {len(names) - _NAMED} more" if len(names) > _NAMED else text


def counted(count: int, what: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "comparison"), counted(15658489, "comparison")
    ('1 comparison', '15,658,489 comparisons')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"
