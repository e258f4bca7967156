"""Which rows of a score file belong to which picture, by their paths alone."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from prefiqs_jax.scorefiles.paths import (
    common_folders,
    depth,
    normal,
    suffix,
    without_ending,
)


class Pairing(NamedTuple):
    """Rows by picture."""

    rows: list[list[int]]
    """For each picture the rows that fit it best; none, one or several."""
    shared: list[tuple[int, list[int]]]
    """Rows that fit several pictures, and these pictures."""
    elsewhere: list[int]
    """Pictures whose row lies in another folder, so that only the ends agree."""


class _Paths(NamedTuple):
    """Paths of one side, in their normal form."""

    paths: list[str]
    depths: list[int]
    common: int
    """How many leading folders all of them share."""


def pair_rows(names: Sequence[str], row_names: Sequence[str]) -> Pairing:
    """Find the rows of each picture by the longest end of its path.

    Parameters
    ----------
    names
        Of the pictures.
    row_names
        Of the rows.

    Returns
    -------
    Pairing
        A row fits a picture if their paths agree from the end on, up to the start of
        one of them, or up to the folders that all paths of a side share. Among those
        that fit, the best agree on the most parts, then in the ending, then have no
        other parts before them.

    Examples
    --------
    >>> pair_rows(["ann/1.png", "bob/1.png"], ["/x/bob/1.jpg", "/x/ann/1.jpg"]).rows
    [[1], [0]]
    """
    pictures, rows = _paths(names), _paths(row_names)
    found: list[list[int]] = [[] for _ in names]
    waiting = list(range(len(names)))
    for parts in range(max(pictures.depths, default=0), 0, -1):
        for form in (_same, without_ending):
            waiting = _fill(found, waiting, pictures, rows, parts, form)
    fitting: dict[str, list[int]] = {}
    for number, each in enumerate(found):
        if each:
            fitting.setdefault(rows.paths[each[0]], []).append(number)
    return Pairing(
        found,
        [(found[n[0]][0], n) for n in fitting.values() if len(n) > 1],
        [
            n
            for n, each in enumerate(found)
            if each and _contradict(n, each[0], pictures, rows)
        ],
    )


def _paths(names: Iterable[str]) -> _Paths:
    paths = [normal(name) for name in names]
    return _Paths(paths, [depth(path) for path in paths], common_folders(paths))


def _same(path: str) -> str:
    return path


def _fill(
    found: list[list[int]],
    waiting: list[int],
    pictures: _Paths,
    rows: _Paths,
    parts: int,
    form: Callable[[str], str],
) -> list[int]:
    """Fill in the rows that agree on so many parts; return who still waits."""
    asking = [n for n in waiting if pictures.depths[n] >= parts]
    if not asking:
        return waiting
    by_end: dict[str, list[int]] = {}
    for row, path in enumerate(rows.paths):
        if rows.depths[row] >= parts:
            by_end.setdefault(form(suffix(path, parts)), []).append(row)
    for n in asking:
        fitting = by_end.get(form(suffix(pictures.paths[n], parts)), [])
        if parts < pictures.depths[n] - pictures.common:
            fitting = [r for r in fitting if parts >= rows.depths[r] - rows.common]
        # Of two that agree, the one that is the whole path and no more.
        whole = [r for r in fitting if rows.depths[r] == pictures.depths[n] == parts]
        found[n] = whole or fitting
    return [n for n in waiting if not found[n]]


def _contradict(number: int, row: int, pictures: _Paths, rows: _Paths) -> bool:
    """Return whether neither path ends with the other."""
    parts = min(pictures.depths[number], rows.depths[row])
    one, other = suffix(pictures.paths[number], parts), suffix(rows.paths[row], parts)
    return without_ending(one) != without_ending(other)
