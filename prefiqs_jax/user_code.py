"""Functions in a file of the user's: import them, and name their line in errors."""

import functools
import hashlib
import inspect
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from prefiqs_jax.errors import InputError


class blame:
    """Turn whatever a user's file raises into one line that names its own line.

    Parameters
    ----------
    file
        The file.
    what
        What it is for, such as ``"mask"``.
    """

    def __init__(self, file: Path, what: str):
        self._file, self._what = file, what

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise InputError from an error that is not one already."""
        if not isinstance(error, Exception) or isinstance(error, InputError):
            return
        own = str(self._file.resolve())
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(trace)
            if str(Path(frame.filename).resolve()) == own
        ]
        line = (lines or [None])[-1]
        if isinstance(error, SyntaxError) and error.filename == str(self._file):
            line = error.lineno
        where = f"{self._what} file {self._file}" + (f", line {line}" if line else "")
        said = " ".join(str(error).split()) or "no message"
        message = f"{where}: {type(error).__name__}: {said}"
        raise InputError(message) from error


def load_function(reference: str, what: str) -> tuple[Callable[..., Any], str]:
    """Import ``FILE.py:FUNCTION``; the file is run.

    Parameters
    ----------
    reference
        Path and name.
    what
        What the function is for, such as ``"mask"``, for messages.

    Returns
    -------
    function : callable
        Its errors are InputErrors that name the line of the file.
    sha256 : str
        Digest of the file.

    Raises
    ------
    InputError
        If there is no such file or function, or the file cannot be imported.
    """
    file, _, attribute = reference.rpartition(":")
    path = Path(file)
    if not path.is_file():
        message = f"{what} file {file} does not exist"
        raise InputError(message)
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    # A name that no package has, under which dataclasses find their own module.
    module = types.ModuleType(f"_own_{path.stem}_{digest[:12]}")
    module.__file__ = str(path.resolve())
    sys.modules[module.__name__] = module
    beside = str(path.resolve().parent)  # other files of the user's, as python FILE has
    sys.path.insert(0, beside)
    try:
        with blame(path, what):
            # The bytes that were digested, and no compiled file of an earlier second.
            exec(compile(source, path, "exec"), vars(module))
    except InputError as error:
        message = f"{what} file {file} cannot be imported: {error}"
        raise InputError(message) from error
    finally:
        sys.path.remove(beside)
    function = getattr(module, attribute, None)
    if not callable(function):
        there = [n for n, v in vars(module).items() if inspect.isfunction(v)]
        listed = ", ".join(n for n in there if not n.startswith("_")) or "none"
        message = f"{what} file {file} has no function {attribute}; it has: {listed}"
        raise InputError(message)
    return blamed(function, path, what, attribute), digest


def blamed(
    function: Callable[..., Any], file: Path, what: str, name: str = ""
) -> Callable[..., Any]:
    """Wrap a function so that its errors are InputErrors that name a line of the file.

    Parameters
    ----------
    function
        From the file.
    file, what
        As in :class:`blame`.
    name
        Of the wrapper, where the function has none, as an object that can be called.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with blame(file, what):
            return function(*args, **kwargs)

    if name and not hasattr(function, "__name__"):
        wrapped.__name__ = name
    return wrapped
