"""What a terminal, a pipe or a log gets to see: lines, and how far a job is."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm import tqdm

from prefiqs_jax.errors import InputError, printable

STDOUT = "-"
"""What a user gives in place of a file for standard output."""
SECONDS = 30
"""Between two lines of progress where there is no terminal."""


def ready_streams() -> None:
    """Make standard output and error ready for any text, in whatever encoding."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Write lines to standard error, above a bar if there is one.

    A log that is full is no reason to end a job; BrokenPipeError if its reader went.
    """
    for line in lines:
        try:
            if sys.stderr.isatty():
                tqdm.write(printable(line), file=sys.stderr)
            else:
                print(printable(line), file=sys.stderr, flush=True)
        except OSError as error:
            _discard(sys.stderr)
            if isinstance(error, BrokenPipeError):
                raise


def show(*lines: str) -> None:
    """Write lines of a result to standard output, now.

    InputError if that is not possible; BrokenPipeError if its reader has gone.
    """
    with to_stdout():
        for line in lines:
            print(printable(line))
        sys.stdout.flush()


def emit(text: str) -> None:
    """Write a file's content to standard output, in UTF-8; errors as :func:`show`."""
    with to_stdout():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def to_stdout() -> Iterator[None]:
    """Turn what goes wrong with standard output into the errors of :func:`show`."""
    try:
        yield
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        message = f"standard output cannot be written: {error.strerror}"
        raise InputError(message) from error


def _discard(stream: TextIO) -> None:
    """Let go of what cannot be written, or Python fails with it once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Lines(tqdm):
    """Progress for what is no terminal: a line now and then, and one in the end."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings |= {"mininterval": SECONDS, "ncols": 0, "dynamic_ncols": False}
        super().__init__(*args, **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write the state as a line."""
        del pos
        if msg is None:
            say(str(self).strip())

    def clear(self, nolock: bool = False) -> None:
        """Leave the lines above alone."""
        del nolock

    def close(self) -> None:
        """Write the last line, unless it never came to a first."""
        if not self.disable and self.last_print_t >= self.start_t + self.delay:
            self.display()
        self.leave = False
        super().close()


def bar_class() -> type["tqdm[Any]"]:
    """Give the kind of bar that suits what standard error is."""
    return tqdm if sys.stderr.isatty() else _Lines


def progress_bar(
    total: int,
    unit: str = "image",
    *,
    what: str | None = None,
    initial: int = 0,
    delay: float = 0,
    progress: bool = True,
) -> "tqdm[Any]":
    """Make a bar on standard error, with rate and time left.

    Where that is no terminal, it is a line now and then.

    Parameters
    ----------
    total, initial
        How many there are, and were done before.
    unit, what
        What is counted; what is done with it.
    delay
        Seconds before it shows.
    progress
        False for no bar at all.
    """
    return bar_class()(
        total=total,
        initial=initial,
        unit=unit,
        desc=what and printable(what),
        delay=delay,
        disable=not progress,
        file=sys.stderr,
        dynamic_ncols=True,
    )
