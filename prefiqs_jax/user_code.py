"""Functions in a file of the user's: import them, and name their line in errors."""

import functools
import hashlib
import importlib.util
import traceback
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
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
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
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        message = f"{what} file {file} cannot be imported: is it Python?"
        raise InputError(message)
    module = importlib.util.module_from_spec(spec)
    try:
        with blame(path, what):
            spec.loader.exec_module(module)
    except InputError as error:
        message = f"{what} file {file} cannot be imported: {error}"
        raise InputError(message) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        message = f"{what} file {file} has no function {attribute}"
        raise InputError(message)

    @functools.wraps(function)
    def blamed(*args: Any, **kwargs: Any) -> Any:
        with blame(path, what):
            return function(*args, **kwargs)

    blamed.__dict__.setdefault("__name__", attribute)
    return blamed, hashlib.sha256(path.read_bytes()).hexdigest()
