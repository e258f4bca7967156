"""Which rows of a file belong to which image, by their paths alone."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from prefiqs_jax.errors import InputError

Parts: TypeAlias = tuple[str, ...]
"""A path: folders and file, without ``.`` folders."""

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp")
EXTENSIONS = (".png", *JPEG, ".bmp", ".dib", ".webp", ".tif", ".tiff")
EXTENSIONS += (".ppm", ".pgm", ".pbm", ".pnm")
"""Endings of the files that are read, in lower case."""
ENDINGS = frozenset((*EXTENSIONS, ".jp2", ".gif", ".heic", ".avif", ".npy"))
"""Endings of image files, and of the arrays into which some people turn them."""


class Pairing(NamedTuple):
    """Rows by image."""

    rows: list[tuple[int, ...]]
    """For each image the rows that fit it best; none, one or several."""
    shared: list[tuple[int, list[int]]]
    """Rows that fit several images, and these images."""
    elsewhere: list[int]
    """Images whose row lies in another folder, so that only the ends agree."""


class _Paths(NamedTuple):
    """Paths of one side."""

    paths: list[Parts]
    common: int
    """How many leading folders all of them share."""


def pair_rows(names: Sequence[str], row_names: Sequence[str]) -> Pairing:
    """Find the rows of each image by the longest end of its path.

    A row fits an image if their paths agree from the end on, up to the start of one of
    them, or up to the folders that all paths of a side share. Among those that fit, the
    best agree on the most parts, then in the ending, then have no other parts before
    them.

    >>> pair_rows(["ann/1.png", "bob/1.png"], ["/x/bob/1.jpg", "/x/ann/1.jpg"]).rows
    [(1,), (0,)]
    """
    images, rows = _paths(names), _paths(row_names)
    found: list[tuple[int, ...]] = [()] * len(names)
    waiting = list(range(len(names)))
    for depth in range(max(map(len, images.paths), default=0), 0, -1):
        for form in (tuple, _stem):
            waiting = _fill(found, waiting, images, rows, depth, form)
    owner: dict[Parts, int] = {}
    shared: dict[int, list[int]] = {}
    elsewhere = []
    for image, each in enumerate(found):
        if each:
            row = rows.paths[each[0]]
            first = owner.setdefault(row, image)
            if first != image:
                shared.setdefault(first, [first]).append(image)
            if _contradict(images.paths[image], row):
                elsewhere.append(image)
    return Pairing(
        found, [(found[n][0], each) for n, each in shared.items()], elsewhere
    )


def rows_named(
    source: object, names: Sequence[str], rows: Sequence[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Find the row of each name: that of the same name, or else as :func:`pair_rows`.

    Some names may have none. Gives a note, too, if some lie in other folders.

    Parameters
    ----------
    source
        The file that lists the names, or the rows, for messages.
    names, rows
        Paths, no two of either alike.

    Raises
    ------
    InputError
        If a name fits several rows, or a row several names.

    Examples
    --------
    >>> rows_named("images.csv", ["ann/1.png"], ["/faces/ann/1.jpg"])
    ({'ann/1.png': 0}, ())
    """
    place = {row: n for n, row in enumerate(rows)}
    found = {name: place[name] for name in names if name in place}
    if len(found) == len(names):
        return found, ()
    owner = {row: name for name, row in found.items()}
    pairing = pair_rows(names, rows)
    for name, fitting in zip(names, pairing.rows, strict=True):
        free = [row for row in fitting if found.get(rows[row]) != row]
        if name in place or not free:
            continue
        other = owner.setdefault(free[0], name)
        if len(free) > 1 or other != name:
            may = f"{name} may be {' or '.join(rows[row] for row in free[:3])}"
            if other != name:
                may = f"{name} and {other} may both be {rows[free[0]]}"
            message = f"{source}: {may}; keep one of them, or write whole paths"
            raise InputError(message)
        found[name] = free[0]
    moved = [names[n] for n in pairing.elsewhere if names[n] not in place]
    moved = [name for name in moved if name in found]
    if not moved:
        return found, ()
    note = (
        f"{source}: {len(moved)} of {len(names)} names are of other folders (first: "
        f"{moved[0]} is taken for {rows[found[moved[0]]]})"
    )
    return found, (note,)


def normal(name: str) -> str:
    """Write a name as most systems do; those of macOS have accents apart (NFD).

    >>> normal("Zoe\u0308") == "Zo\u00eb"
    True
    """
    return unicodedata.normalize("NFC", name)


def without_ending(path: str) -> str:
    """Take the ending of an image off, as often as it is there.

    >>> without_ending("ann/01.PNG"), without_ending("ann/John_F._Kennedy")
    ('ann/01', 'ann/John_F._Kennedy')
    >>> without_ending("01.jpg.jpg"), without_ending("ann/.png")
    ('01', 'ann/.png')
    """
    stem, ending = os.path.splitext(path)
    return without_ending(stem) if ending.lower() in ENDINGS else path


def _paths(names: Iterable[str]) -> _Paths:
    r"""Take paths apart, whatever slashes and form of Unicode they have.

    >>> _paths([r"C:\faces\ann\1.png", "C:/faces/./bob//1.png"])
    _Paths(paths=[('C:', 'faces', 'ann', '1.png'), ('C:', 'faces', 'bob', '1.png')],
           common=2)
    """
    paths = [
        tuple(
            part
            for part in normal(name).replace("\\", "/").split("/")
            if part not in ("", ".")
        )
        for name in names
    ]
    # What the first and the last in order share, all between them share.
    first, last = min(paths, default=()), max(paths, default=())
    folders = zip(first[:-1], last[:-1], strict=False)
    shared = list(takewhile(lambda pair: pair[0] == pair[1], folders))
    return _Paths(paths, len(shared) if first != last else 0)


def _stem(path: Parts) -> Parts:
    return (*path[:-1], without_ending(path[-1]))


def _fill(
    found: list[tuple[int, ...]],
    waiting: list[int],
    images: _Paths,
    rows: _Paths,
    depth: int,
    form: Callable[[Parts], Parts],
) -> list[int]:
    """Fill in the rows that agree on so many parts; return which images still wait."""
    asking = [n for n in waiting if len(images.paths[n]) >= depth]
    if not asking:
        return waiting
    by_end: dict[Parts, list[int]] = defaultdict(list)
    for row, path in enumerate(rows.paths):
        if len(path) >= depth:
            by_end[form(path[-depth:])].append(row)
    for n in asking:
        path = images.paths[n]
        fitting = by_end.get(form(path[-depth:]), [])
        if depth < len(path) - images.common:
            fitting = [r for r in fitting if depth >= len(rows.paths[r]) - rows.common]
        # Of two that agree, the one that is the whole path and no more.
        if len(fitting) > 1 and len(path) == depth:
            fitting = [r for r in fitting if len(rows.paths[r]) == depth] or fitting
        found[n] = tuple(fitting)
    return [n for n in waiting if not found[n]]


def _contradict(one: Parts, other: Parts) -> bool:
    """Return whether neither path ends with the other, whatever their endings."""
    depth = min(len(one), len(other))
    return _stem(one[-depth:]) != _stem(other[-depth:])
