"""The error that a user can cure: one line, what is wrong and how to fix it."""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Escape what a terminal would obey or hide, as hostile names have it.

    >>> print(printable("fc\x1b[2J.weight"), printable("ü × ψ"))
    fc\x1b[2J.weight ü × ψ
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


class InputError(ValueError):
    """Bad input: a file, a name or a value that the user gave.

    The message is one line that names the file or value and the cure. The command
    line prints it and exits with status 2; anything else that escapes is a bug.
    """

    def __str__(self) -> str:
        """Return the message, on one line whatever names from files are in it."""
        return printable(super().__str__())


class UnreachableSparsityError(InputError):
    """Sparsities that a rule cannot reach, such as 2:4 any but 0.5.

    Attributes
    ----------
    sparsities
        Those of the ones asked for.
    """

    def __init__(self, message: str, sparsities: Iterable[float]):
        super().__init__(message)
        self.sparsities = tuple(sparsities)


class NoDirection(InputError):
    """Images whose embedding is zero or not finite, so that nothing is known of them.

    Attributes
    ----------
    names
        Of the images.
    reason
        What is wrong with them, to be read after a name.
    """

    def __init__(self, message: str, names: Iterable[str], reason: str):
        super().__init__(f"{message}; leave them out with --on-bad-image skip")
        self.names = tuple(names)
        self.reason = reason


def unknown(
    what: str, value: object, known: Iterable[str], listed: str | None = None
) -> InputError:
    """Make the error for a name that is none of those known, with the nearest of them.

    `what` is what the name is of, such as ``"mask"``; `listed` is how the message lists
    the known names, if not one after another.

    >>> str(unknown("colour", "gren", ["red", "green"]))
    "unknown colour 'gren'; did you mean green? known: red, green"
    """
    known = list(known)
    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return InputError(
        f"unknown {what} {value!r}; {hint}known: {listed or ', '.join(known)}"
    )


def check_choice(what: str, value: object, known: Iterable[str]) -> None:
    """Raise :func:`unknown` unless the value is one of those known."""
    known = list(known)
    if value not in known:
        raise unknown(what, value, known)
