"""Write files all at once: a reader, or a killed process, never sees half a file."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from prefiqs_jax.errors import InputError

PARTIAL = ".partial"


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes ``path`` in one step.

    The temporary file is in the same folder, since a rename cannot cross file systems.
    After an error or an interrupt nothing is left.

    Raises
    ------
    InputError
        If the file cannot be written: no space, no permission, no folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise InputError(message) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file in one step; errors as :func:`atomic`."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and its parents; InputError if that is not possible."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"folder {path} cannot be made: {error.strerror or error}"
        raise InputError(message) from error
    return path
