"""What the files of a folder's images hold: size, times and digest of each.

Reading every file to compare its content would take long at every start. So the digest
that was computed once is taken as long as size and times of the file are the same, and
computed anew where they differ.
"""

import dataclasses
import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.folder import ImageFolder
from prefiqs_jax.terminal import progress_bar

_THREADS = 4
_PIECE = 256  # files that a thread takes at once
DELAY_S = 2.0
"""Bars of what reads all files show only if it takes longer."""


Times = tuple[int, int, int]
"""Size of a file in bytes, and when its content and its entry changed, in ns."""


class Content(NamedTuple):
    """What is known of one file.

    A file that cannot be read has size -1 and no digest, like an image that comes from
    no file of its own, whose content the store's digest covers.
    """

    size: int
    """In bytes."""
    modified_ns: int
    changed_ns: int
    """Time of the inode: also moves where a program sets that of the modification."""
    sha256: str


NOTHING = Content(-1, 0, 0, "")


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The content of every image of a folder, in the order of its names."""

    names: tuple[str, ...]
    contents: tuple[Content, ...]

    @property
    def sha256(self) -> str:
        """Digest of all content, whatever the times of the files."""
        lines = (content.sha256 for content in self.contents)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def changed_since(self, earlier: "Inventory") -> list[str]:
        """List the images whose content is not what it was."""
        before = dict(zip(earlier.names, earlier.contents, strict=True))
        return [
            name
            for name, content in zip(self.names, self.contents, strict=True)
            if before.get(name, NOTHING).sha256 != content.sha256
        ]


def take_inventory(
    folder: ImageFolder, known: Inventory | None = None, *, progress: bool = False
) -> Inventory:
    """Find out what the files of all images hold.

    Parameters
    ----------
    folder
        The images.
    known
        An earlier inventory, whose digests are taken for files of the same size and
        times.
    progress
        Show a bar on standard error if it takes longer than two seconds.

    Notes
    -----
    Degraded copies of one image share its file, which is read once.
    """
    before = dict(zip(known.names, known.contents, strict=True)) if known else {}
    wanted: dict[Path, Content] = {}
    paths = [folder.store.source(folder.root, name) for name in folder.names]
    for name, path in zip(folder.names, paths, strict=True):
        if path is not None:
            wanted.setdefault(path, before.get(name, NOTHING))
    bar = progress_bar(
        len(wanted), "file", what="comparing files", delay=DELAY_S, progress=progress
    )
    items = list(wanted.items())
    pieces = [items[i : i + _PIECE] for i in range(0, len(items), _PIECE)]
    found: dict[Path, Content] = {}
    with bar, ThreadPoolExecutor(_THREADS) as pool:
        for looked in pool.map(_look_at, pieces):
            found |= looked
            bar.update(len(looked))
    contents = (NOTHING if path is None else found[path] for path in paths)
    return Inventory(folder.names, tuple(contents))


def refuse_changed(
    folder: ImageFolder, inventory: Inventory, places: Sequence[int]
) -> None:
    """Raise InputError if one of these images has changed since the inventory.

    Parameters
    ----------
    folder, inventory
        The images, and what they held.
    places
        Indices of images.
    """
    chosen = folder.take(places)
    before = Inventory(
        chosen.names, tuple(inventory.contents[place] for place in places)
    )
    changed = take_inventory(chosen, before).changed_since(before)
    if changed:
        message = (
            f"{changed[0]} was changed in {folder.root} while the run went on; start "
            "the run again in a new folder"
        )
        raise InputError(message)


def file_times(status: os.stat_result) -> Times:
    """Give what tells a file from what was under its name before."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def file_sha256(path: Path) -> str:
    """Digest the content of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look_at(piece: list[tuple[Path, Content]]) -> dict[Path, Content]:
    return {path: _look(path, known) for path, known in piece}


def _look(path: Path, known: Content) -> Content:
    """Compare a file with what is known of it, and read it if that differs."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return NOTHING
        times = file_times(status)
        return known if times == known[:3] else Content(*times, file_sha256(path))
    except OSError:
        return NOTHING  # whoever loads the image says what is wrong
