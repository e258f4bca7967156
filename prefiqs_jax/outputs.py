"""Outputs in a folder that may hold a user's own files: nothing of theirs is lost."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import (
    LOCK,
    TEMPORARY,
    atomic,
    check_regular,
    clear_partial,
    lock_folder,
    make_folder,
    parse_json,
)

LEDGER = ".prefiqs.json"
"""In the folder: the SHA-256 of each file that was written there."""


def write_outputs(
    folder: str | os.PathLike[str],
    contents: Mapping[str, str | bytes],
    *,
    locked: bool = False,
    all_of_it: bool = False,
) -> None:
    """Write files into a folder, replacing only what an earlier call wrote there.

    A file that was changed since counts as the user's. A process that is killed here
    leaves some of the files old and some new; what it left half-written goes at the
    next call.

    Parameters
    ----------
    folder, contents
        Folder, made if it does not exist; and text or bytes, by path below it.
    locked
        Whether the caller holds the folder's lock.
    all_of_it
        Whether these are all files of the folder: those that earlier calls wrote, and
        nobody changed since, go if they are not among them.

    Raises
    ------
    InputError
        If another file has one of the names (then nothing is written), the folder is in
        use, or a file cannot be written.
    """
    folder = make_folder(folder)
    data = {
        name: content.encode() if isinstance(content, str) else content
        for name, content in contents.items()
    }
    with contextlib.nullcontext() if locked else lock_folder(folder, "writing"):
        known = _read(folder)
        _check(folder, known, data)
        new = {name: hashlib.sha256(each).hexdigest() for name, each in data.items()}
        # Both are known until all are written: a killed process may leave either.
        both = {name: [*known.get(name, ()), digest] for name, digest in new.items()}
        for below in {(folder / name).parent for name in [*data, LEDGER]}:
            clear_partial(make_folder(below))
        _write(folder, {LEDGER: _text(known | both), **data})
        kept = known | {name: [digest] for name, digest in new.items()}
        for name in known.keys() - new.keys() if all_of_it else ():
            path = folder / name
            if path.is_file() and _sha256(path) in kept.pop(name):
                path.unlink()
        _write(folder, {LEDGER: _text(kept)})


def check_outputs(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Refuse, before any work, a folder in which one of these files is not ours.

    InputError if :func:`write_outputs` did not write it, or it was changed since.
    """
    _check(Path(folder), _read(Path(folder)), names)


def is_unused(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds nothing but traces of calls that wrote nothing."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}"
        raise InputError(message) from error
    return all(name in (LEDGER, LOCK) or TEMPORARY.fullmatch(name) for name in names)


def _check(folder: Path, known: Mapping[str, list[str]], names: Iterable[str]) -> None:
    for name in names:
        path = folder / name
        if not os.path.exists(path):
            continue
        if not (os.path.isfile(path) and _sha256(path) in known.get(name, ())):
            message = (
                f"{path} is not from prefiqs, or was changed since; move it away, or "
                "give another folder"
            )
            raise InputError(message)


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise InputError(message) from error


def _read(folder: Path) -> dict[str, list[str]]:
    path = folder / LEDGER
    check_regular(path)
    try:
        return dict(parse_json(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        message = f"{path} is damaged ({error}); move the files beside it away"
        raise InputError(message) from error


def _text(known: Mapping[str, list[str]]) -> bytes:
    return (json.dumps(known, indent=1, sort_keys=True) + "\n").encode()


def _write(folder: Path, data: Mapping[str, bytes]) -> None:
    for name, content in data.items():
        with atomic(folder / name) as temporary:
            temporary.write_bytes(content)
