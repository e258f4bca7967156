"""The folder of an evaluation: whose it is, and which files in it are ours."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import (
    LOCK,
    PARTIAL,
    clear_partial,
    lock_folder,
    make_folder,
    write_text,
)

MARKER = "evaluation.json"
MEASURED = "measured"
"""Folder of what the networks gave, in parts; an evaluation that is run again reads
them."""
WRITTEN = (".", "tables", "figures")
"""Folders, below that of the evaluation, of the files that are made anew each time."""


@contextlib.contextmanager
def claim_evaluation(out: str | os.PathLike[str]) -> Iterator[None]:
    """Make the folder of an evaluation, or go on with one, alone.

    Whatever an earlier evaluation in this folder wrote and this one does not write
    again, such as a figure of another error rate, is removed in the end. Files of the
    user's stay.

    Parameters
    ----------
    out
        Folder: new, empty, or one that an evaluation made.

    Raises
    ------
    InputError
        If it is a file, holds anything else, cannot be written, or another process
        works there.
    """
    out = Path(out)
    _check(out)
    is_new = not out.exists()
    try:
        with lock_folder(make_folder(out), "prefiqs edc"):
            earlier = _check(out)
            for below in WRITTEN:
                clear_partial(out / below)
            if not (out / MARKER).exists():
                _mark(out, set())
            before = _files(out)
            try:
                yield
            except BaseException:
                if is_new and not _holds_work(out):
                    shutil.rmtree(out / MEASURED, ignore_errors=True)
                    (out / MARKER).unlink()
                raise
            after = _files(out)
            made = {name for name in after if before.get(name) != after[name]}
            for name in earlier - made:
                (out / name).unlink(missing_ok=True)
            _mark(out, made - {MARKER})
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()  # only if it is empty


def _check(out: Path) -> set[str]:
    """Refuse what is no folder of ours; list the files that an evaluation wrote."""
    if out.exists() and not out.is_dir():
        message = f"{out} is a file; give a folder for the evaluation"
        raise InputError(message)
    marker = out / MARKER
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        return set(map(str, found["files"]))
    except FileNotFoundError:
        pass
    except OSError as error:
        message = f"{marker} cannot be read: {error.strerror}; make it readable"
        raise InputError(message) from None
    except (ValueError, KeyError, TypeError):
        message = f"{marker} is damaged; give another --out"
        raise InputError(message) from None
    if out.exists() and any(
        entry.name != LOCK and not entry.name.endswith(PARTIAL)
        for entry in out.iterdir()
    ):
        message = f"{out} is not empty and holds no evaluation; give another --out"
        raise InputError(message)
    return set()


def _holds_work(out: Path) -> bool:
    """Say whether there is any file but those that claim the folder."""
    files = (path for path in out.rglob("*") if not path.is_dir())
    return any(path.name not in (MARKER, LOCK) for path in files)


def _mark(out: Path, files: set[str]) -> None:
    text = json.dumps({"files": sorted(files)}, indent=1, ensure_ascii=False)
    write_text(out / MARKER, text + "\n")


def _files(out: Path) -> dict[str, tuple[int, int]]:
    """List files by name, each with what changes when it is written again."""
    return {
        path.relative_to(out).as_posix(): (status.st_ino, status.st_mtime_ns)
        for below in WRITTEN
        for path in (out / below).glob("[!.]*")
        if path.is_file() and (status := path.stat())
    }
