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

    rows: list[tuple[int, ...]]
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
    [(1,), (0,)]
    """
    pictures, rows = _paths(names), _paths(row_names)
    found: list[tuple[int, ...]] = [()] * len(names)
    waiting = list(range(len(names)))
    for parts in range(max(pictures.depths, default=0), 0, -1):
        for form in (_same, without_ending):
            waiting = _fill(found, waiting, pictures, rows, parts, form)
    owner: dict[str, int] = {}
    shared: dict[int, list[int]] = {}
    for number, each in enumerate(found):
        if each:
            first = owner.setdefault(rows.paths[each[0]], number)
            if first != number:
                shared.setdefault(first, [first]).append(number)
    elsewhere = [
        number
        for number, each in enumerate(found)
        if each and _contradict(pictures.paths[number], rows.paths[each[0]])
    ]
    return Pairing(
        found, [(found[first][0], each) for first, each in shared.items()], elsewhere
    )


def _paths(names: Iterable[str]) -> _Paths:
    paths = [normal(name) for name in names]
    return _Paths(paths, [depth(path) for path in paths], common_folders(paths))


def _same(path: str) -> str:
    return path


def _fill(
    found: list[tuple[int, ...]],
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
    by_end = _rows_by_end(rows, parts, form)
    for n in asking:
        fitting = by_end(form(suffix(pictures.paths[n], parts)))
        if parts < pictures.depths[n] - pictures.common:
            fitting = [r for r in fitting if parts >= rows.depths[r] - rows.common]
        # Of two that agree, the one that is the whole path and no more.
        if len(fitting) > 1 and pictures.depths[n] == parts:
            whole = [r for r in fitting if rows.depths[r] == parts]
            fitting = whole or fitting
        found[n] = tuple(fitting)
    return [n for n in waiting if not found[n]]


def _rows_by_end(
    rows: _Paths, parts: int, form: Callable[[str], str]
) -> Callable[[str], Sequence[int]]:
    """Give what looks up the rows whose paths end in so many parts."""
    # Most ends have one row: a list for each would cost more than all the rest.
    first: dict[str, int] = {}
    others: dict[str, list[int]] = {}
    for row, path in enumerate(rows.paths):
        if rows.depths[row] >= parts:
            end = form(suffix(path, parts))
            if first.setdefault(end, row) != row:
                others.setdefault(end, []).append(row)

    def look_up(end: str) -> Sequence[int]:
        return (first[end], *others.get(end, ())) if end in first else ()

    return look_up


def _contradict(one: str, other: str) -> bool:
    """Return whether neither path ends with the other, whatever their endings."""
    if f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}"):
        return False
    parts = min(depth(one), depth(other))
    return without_ending(suffix(one, parts)) != without_ending(suffix(other, parts))
