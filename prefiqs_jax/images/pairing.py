"""Which rows of a score file belong to which image, by their paths alone."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from prefiqs_jax.images.folder import EXTENSIONS

Parts: TypeAlias = tuple[str, ...]
"""A path: folders and file, without ``.`` folders."""

ENDINGS = frozenset((*EXTENSIONS, ".pgm", ".jp2", ".gif", ".npy"))
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
    r"""Take paths apart, whatever slashes they have.

    >>> _paths([r"C:\faces\ann\1.png", "C:/faces/./bob//1.png"])
    _Paths(paths=[('C:', 'faces', 'ann', '1.png'), ('C:', 'faces', 'bob', '1.png')],
           common=2)
    """
    paths = [
        tuple(
            part for part in name.replace("\\", "/").split("/") if part not in ("", ".")
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
