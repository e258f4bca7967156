"""Files written all at once, and folders kept by one process at a time."""

import contextlib
import datetime
import fnmatch
import glob
import json
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.terminal import say

PARTIAL = ".partial"
LOCK = ".lock"
_HOLDER = "process "
# .NAME.HOST-PID-RANDOM.partial; earlier versions wrote .NAME.PID.partial
TEMPORARY = re.compile(r"\.(.+)\.(?:[^/]*-\d+-[0-9a-f]{8}|\d+)" + re.escape(PARTIAL))


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes ``path`` in one step.

    The temporary file is in the same folder, since a rename cannot cross file systems,
    and locked while it is in use (see :func:`clear_partial`). After an error or an
    interrupt nothing is left. Mode and, where permitted, owner of an existing file are
    kept. A symbolic link stays one: the file it points to is written. What is no
    regular file (a device, a FIFO) is not replaced but written to.

    Raises
    ------
    InputError
        If the file cannot be written: no space, no permission, no folder.
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path))
        old = _status(path)
        if old is not None and stat.S_ISDIR(old.st_mode):
            message = f"{path} is a folder; give the name of a file"
            raise InputError(message)
        with _in_place(path) if _special(old, target) else _beside(target, old) as way:
            yield way
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise InputError(message) from error


def clear_partial(folder: str | os.PathLike[str], pattern: str = "*") -> None:
    """Remove temporary files of :func:`atomic` whose process is dead.

    A living process holds a lock on each of its own. Where the file system keeps no
    locks nothing is removed. The pattern is that of the files that were to be written,
    as :mod:`fnmatch` has them.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = TEMPORARY.fullmatch(entry.name)
            if (
                name
                and fnmatch.fnmatchcase(name[1], pattern)
                and entry.is_file(follow_symlinks=False)
            ):
                _remove_abandoned(entry.path)


def clear_beside(path: str | os.PathLike[str]) -> None:
    """Remove what dead processes left half-written of one file."""
    target = Path(os.path.realpath(path))
    clear_partial(target.parent, glob.escape(_stem(target)))


@contextlib.contextmanager
def lock_folder(
    folder: str | os.PathLike[str], doing: str, say: Callable[[str], None] = say
) -> Iterator[None]:
    """Keep other processes out of a folder, which exists, while this one works there.

    The lock is advisory, and the kernel's: that of a killed process is free. Its file,
    ``.lock``, tells who holds it, and is removed in the end.

    Parameters
    ----------
    doing
        What this process does there, for the others' message: "sweeping", say.
    say
        Is told, in one line, that the file system keeps no locks.

    Raises
    ------
    InputError
        If another process, or another thread of this one, has the folder; or if it
        cannot be written to.
    """
    path = Path(folder) / LOCK
    try:
        descriptor, held = _hold(path)
    except OSError as error:
        message = f"{folder} cannot be locked: {error.strerror or error}"
        raise InputError(message) from error
    try:
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace")
        if held is False:
            message = (
                f"{folder} is in use by {holder or 'another process'}; wait until it "
                "has ended, or give another folder"
            )
            raise InputError(message)
        if holder and not holder.startswith(_HOLDER):
            message = f"{path} is no lock of prefiqs-jax; move it away"
            raise InputError(message)
        if held is None:
            say(f"{folder}: no locks on this file system; let no other process use it")
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        who = f"{_HOLDER}{os.getpid()} on {socket.gethostname()}, {doing} since {since}"
        with contextlib.suppress(OSError):  # no space: locked, though nameless
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, who.encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if _is_at(descriptor, path):  # else it is another process's
                    path.unlink()
    finally:
        os.close(descriptor)


def _status(path: Path) -> os.stat_result | None:
    """Return what a path is, behind its links; None if there is nothing yet."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _special(old: os.stat_result | None, target: Path) -> bool:
    """Return whether a path is no regular file, or one without a name of its own."""
    if old is None:
        return False
    named = _status(target)  # not so behind /dev/stdout, if the file was deleted
    return (
        not stat.S_ISREG(old.st_mode) or not named or not os.path.samestat(old, named)
    )


@contextlib.contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """Give a path elsewhere to write to, and copy it into what is there."""
    # Opened first, as a shell does: a FIFO waits here for its reader.
    with (
        open(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb") as file,
        tempfile.TemporaryDirectory() as folder,
    ):
        temporary = Path(folder) / f"{path.name}{PARTIAL}"
        yield temporary
        with open(temporary, "rb") as written:
            shutil.copyfileobj(written, file)


@contextlib.contextmanager
def _beside(target: Path, old: os.stat_result | None) -> Iterator[Path]:
    """Give a locked path beside the target, and rename it in the end."""
    if old is not None:
        os.close(os.open(target, os.O_WRONLY))  # a write-protected file is not replaced
    temporary, descriptor = _create(target, 0o666 if old is None else 0o600)
    try:
        yield temporary
        if old is not None:
            _give(temporary, old)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _create(target: Path, mode: int) -> tuple[Path, int]:
    """Create a temporary file and lock it; return its path and open descriptor."""
    host = socket.gethostname().replace("/", "_")[:32]
    while True:
        end = f"{host}-{os.getpid()}-{os.urandom(4).hex()}{PARTIAL}"
        temporary = target.with_name(f".{_stem(target)}.{end}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        if _lock(descriptor) is not False and _is_at(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)  # taken for abandoned before it was locked


def _stem(target: Path) -> str:
    """Cut a name so that it has 255 bytes in all."""
    return os.fsencode(target.name)[:180].decode(errors="ignore")


def _give(temporary: Path, old: os.stat_result) -> None:
    """Give a file the owner, where permitted, and the mode of another."""
    new = os.stat(temporary)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(temporary, -1, old.st_gid)
            os.chown(temporary, old.st_uid, -1)
    if new.st_mode != old.st_mode:
        os.chmod(temporary, stat.S_IMODE(old.st_mode))


def _remove_abandoned(path: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if _lock(descriptor):
                os.unlink(path)
        finally:
            os.close(descriptor)


def _hold(path: Path) -> tuple[int, bool | None]:
    """Open and lock the file of a lock; what another removed meanwhile is no lock."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
        held = _lock(descriptor)
        if not held or _is_at(descriptor, path):
            return descriptor, held
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock a file: True; False if another has it, None if that is not possible here."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows; a file system without locks
        return None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one of this name."""
    there = _status(path)
    return there is not None and os.path.samestat(os.fstat(descriptor), there)


def check_out(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Refuse, before any work, an output that cannot be written.

    Parameters
    ----------
    path
        A file, whose folder exists, or a pipe or device.
    folder
        Whether it is a folder, which may have to be made with those above it.
    """
    try:
        target = Path(os.path.realpath(path))
        old = _status(target)
        if old is not None and stat.S_ISDIR(old.st_mode) != folder:
            odd = "no folder; give another" if folder else "a folder; give a file's"
            message = f"{path} is {odd} name"
            raise InputError(message)
        above = target if folder else target.parent
        while folder and _status(above) is None:
            above = above.parent
        if old is None or folder:
            tempfile.TemporaryFile(dir=above).close()
        elif stat.S_ISREG(old.st_mode):
            os.close(os.open(target, os.O_WRONLY))
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise InputError(message) from error


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe or a device: reading one may never end, and only works once.

    A folder, and what is not there, is left to whoever opens it. InputError otherwise.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        message = f"{path} is a pipe or a device; copy what it gives to a file first"
        raise InputError(message)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of a file that anybody may have written; ValueError if it is none.

    >>> parse_json("[" * 10**6)
    Traceback (most recent call last):
    ValueError: it nests too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        message = "it nests too deeply"
        raise ValueError(message) from None


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file in one step; errors as :func:`atomic`."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and its parents; InputError if that is not possible."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        message = f"{path} is no folder; give another name"
        raise InputError(message) from error
    except OSError as error:
        message = f"folder {path} cannot be made: {error.strerror or error}"
        raise InputError(message) from error
    return path
