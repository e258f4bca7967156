"""A folder of images: their names, in a fixed order, and who is in them.

The images need not be files of the size that a network takes: what the names stand
for is the folder's store (:mod:`prefiqs_jax.images.stores`).
"""

import dataclasses
import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import SupportsIndex

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.identities import (
    doubts,
    found_people,
    from_folders,
    level_question,
)
from prefiqs_jax.images.pairing import EXTENSIONS, rows_named
from prefiqs_jax.images.stores import FILES, Store
from prefiqs_jax.images.tables import csv_rows, image_named, open_table

IDENTITY_TABLE = "images.csv"
_MOST_TYPES = 12

# How programs write that there is nothing; no person is called so.
_NOBODY = ("nan", "none", "null", "na", "n/a", "<na>", "-", "?", "unknown")
# Control characters, halves of characters that are no UTF-8, and line separators.
_NOT_TEXT = ("Cc", "Cs", "Zl", "Zp")


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Images below a folder, in the order in which a run takes them."""

    root: Path
    """The folder, or the file that holds all images."""
    names: tuple[str, ...]
    """Paths below root, with forward slashes: each image's key, no two alike."""
    identities: tuple[str | None, ...]
    """The person in each image, None where unknown."""
    identity_source: str | None
    """Where the identities come from, such as ``"images.csv"`` or ``"folders"``; None
    if there are none."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""
    store: Store = FILES
    """What gives the images by their names."""
    absent: tuple[str, ...] = ()
    """Images that a list names, and that are not there."""
    is_whole: bool = True
    """Whether another file in the folder would be another image, as it would not where
    files were listed one by one."""

    @property
    def names_sha256(self) -> str:
        """Digest of the names, in order, and of what the store knows beside files.

        For the content of plain files see :mod:`prefiqs_jax.images.inventory`.
        """
        digest = hashlib.sha256("\n".join(self.names).encode())
        if content := self.store.sha256:
            digest.update(f"\n\n{content}".encode())
        return digest.hexdigest()

    @property
    def identities_sha256(self) -> str:
        """Digest of the identities, in the order of the names."""
        text = json.dumps(self.identities)
        return hashlib.sha256(text.encode()).hexdigest()

    def take(self, places: Iterable[SupportsIndex]) -> "ImageFolder":
        """Give a folder of some of the images, in the order of these indices."""
        chosen = tuple(places)
        return dataclasses.replace(
            self,
            names=tuple(self.names[place] for place in chosen),
            identities=tuple(self.identities[place] for place in chosen),
        )

    @property
    def identity_count(self) -> int:
        """How many different people are known."""
        return len({who for who in self.identities if who is not None})

    @property
    def lines(self) -> tuple[str, ...]:
        """How many images and people there are, by which rule; then the notes."""
        found = found_people(self.root, self.identities, self.identity_source)
        return found, *self.notes


def read_folder(
    root: str | os.PathLike[str],
    identity_level: int | None = None,
    *,
    identities_matter: bool = True,
) -> ImageFolder:
    """List the images below a folder and find out who is in them.

    Hidden files and folders are left out. Linked files and folders are followed, each
    real folder once. Identities come from ``images.csv`` in the folder, with columns
    ``file`` and ``identity``; without that file, from the names of the subfolders, if
    every image lies in one and there are at least two.

    Parameters
    ----------
    root
        The folder; images may lie in subfolders.
    identity_level
        How many of the folders above an image name the person, from the first on, in
        place of ``images.csv``; 0 = unknown.
    identities_matter
        Whether to ask for the level where images lie two or more folders deep; else
        identities are unknown there, which is a note.

    Returns
    -------
    ImageFolder
        Names sorted as plain strings.

    Raises
    ------
    InputError
        If the folder is missing, unreadable or without images, a name is not UTF-8 or
        breaks a line, ``images.csv`` cannot be understood, or nothing says which of
        several folders above an image is the person's.
    """
    root = Path(root)
    if not os.path.isdir(root):
        message = f"there is no folder {root}; give a folder of images"
        if os.path.exists(root):
            message = f"{root} is a file; give the folder that holds the images"
        raise InputError(message)
    names, notes = [], []
    others: Counter[str] = Counter()
    for name in _walk(root, notes):
        ending = os.path.splitext(name)[1].lower()
        if ending in EXTENSIONS:
            check_name(root, name)
            names.append(name)
        elif name != IDENTITY_TABLE:
            kind = ending if ending.isprintable() else ascii(ending)
            others[kind or "without an extension"] += 1
    found = ", ".join(f"{n:,} {kind}" for kind, n in others.most_common(_MOST_TYPES))
    if len(others) > _MOST_TYPES:
        found += f" and {len(others) - _MOST_TYPES} other types"
    if not names:
        known = " ".join(EXTENSIONS)
        there = f" ({found})" if others else ""
        message = f"{root} has no images{there}; known extensions are {known}"
        raise InputError(message)
    if others:
        notes.append(f"left out of {root}, as no images by their names: {found}")
    names.sort()
    if identity_level is None and os.path.lexists(root / IDENTITY_TABLE):
        identities = from_table(root, names, notes)
        source = IDENTITY_TABLE
    else:
        asked = level_question(names) if identity_level is None else None
        if asked and identities_matter:
            message = f"{root}: {asked}"
            raise InputError(message)
        identities, source = from_folders(names, identity_level)
        if identity_level != 0:
            notes += [asked] if asked else doubts(names, identities)
    if not any(identities):
        source = None
    return ImageFolder(root, tuple(names), identities, source, tuple(notes))


def check_name(root: Path, name: str) -> None:
    """Refuse a name that cannot go into tables, digests and one-line messages."""
    kinds = () if name.isprintable() else map(unicodedata.category, name)
    if not set(_NOT_TEXT).isdisjoint(kinds):
        what = f"the name {name!a} has control characters or is not UTF-8"
        message = f"{root}: {what}; rename it"
        raise InputError(message)


def _walk(root: Path, notes: list[str]) -> Iterator[str]:
    """Yield files below root, each real folder once, real ones before linked ones."""

    def refuse(error: OSError) -> None:
        message = f"cannot read the folder {error.filename}: {error.strerror}"
        raise InputError(message)

    real_root = Path(os.path.realpath(root))
    above = {real_root, *real_root.parents}
    seen: set[str] = set()
    waiting = [str(root)]
    while waiting:
        top = waiting.pop(0)
        for folder, folders, files in os.walk(top, onerror=refuse):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for each in folders:
                linked = os.path.join(folder, each)
                if not os.path.islink(linked):
                    continue
                # A link upwards would bring in the whole disk.
                if Path(os.path.realpath(linked)) in above:
                    notes.append(f"{linked} links to a folder above it: left out")
                else:
                    waiting.append(linked)
            below = Path(folder).relative_to(root).as_posix()
            prefix = "" if below == "." else f"{below}/"
            yield from (prefix + file for file in files if not file.startswith("."))


def from_table(
    root: Path, names: list[str], notes: list[str], *, is_whole: bool = True
) -> tuple[str | None, ...]:
    """Read the person in each image from a folder's table, and note what is doubtful.

    `is_whole` is whether the names are all of the folder's, so that an image that only
    the table has is worth a note.
    """
    table = root / IDENTITY_TABLE
    identity_of: dict[str, str | None] = {}
    nobody: dict[str, int] = {}
    with open_table(table) as file:
        columns, rows = csv_rows(file)
        if "file" not in columns:
            found = ", ".join(columns) or "none"
            message = (
                f"{table} has no column named file (columns: {found}); "
                "it needs file and identity, with commas between"
            )
            raise InputError(message)
        for column in ("file", "identity"):
            if columns.count(column) > 1:
                message = f"{table} has two columns named {column}; keep one"
                raise InputError(message)
        if "identity" not in columns:
            notes.append(f"{IDENTITY_TABLE} has no column named identity")
            return (None,) * len(names)
        for row in rows:
            name = image_named(row)
            if not name:
                continue
            who = (row["identity"] or "").strip() or None
            if who and who.lower() in _NOBODY:
                nobody[who] = nobody.get(who, 0) + 1
                who = None
            if identity_of.setdefault(name, who) != who:
                message = (
                    f"{table} lists {name} twice, as {identity_of[name]} and as "
                    f"{who}; keep one row"
                )
                raise InputError(message)
    notes += [
        f"{IDENTITY_TABLE}: the identity {word!r} of {count} images counts as unknown"
        for word, count in nobody.items()
    ]
    people_named = set(identity_of.values())
    if not any(people_named):
        notes.append(f"{IDENTITY_TABLE} names nobody")
    notes += [
        f"{IDENTITY_TABLE}: {who} and {who}.0 count as two people; if they are one, "
        "write one of them"
        for who in sorted(filter(None, people_named))
        if f"{who}.0" in people_named
    ]
    listed_names = list(identity_of)
    row_of, elsewhere = rows_named(table, names, listed_names)
    notes += elsewhere
    present = set(row_of.values())
    absent = [n for row, n in enumerate(listed_names) if row not in present]
    if absent and is_whole:
        told = f"lists {len(absent)} absent images (first: {absent[0]})"
        notes.append(f"{IDENTITY_TABLE} {told}")
    if unlisted := [name for name in names if name not in row_of]:
        told = f"does not list {len(unlisted)} of the images (first: {unlisted[0]})"
        notes.append(f"{IDENTITY_TABLE} {told}")
    people = list(identity_of.values())
    return tuple(people[row_of[n]] if n in row_of else None for n in names)
