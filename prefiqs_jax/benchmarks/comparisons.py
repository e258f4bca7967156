"""Check listed comparisons, and group the units that mated ones join."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Comparisons
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed

MATED = "mated comparisons"
"""Source of identities that are groups of units."""


def counted(count: int, what: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "comparison"), counted(15658489, "comparison")
    ('1 comparison', '15,658,489 comparisons')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def check_kinds(source: Path, mated: Bool[np.ndarray, " comparisons"]) -> None:
    """Raise InputError unless there are mated and non-mated comparisons."""
    if not len(mated):
        message = f"{source} lists no comparisons; give a complete file"
        raise InputError(message)
    if mated.all() or not mated.any():
        missing = "non-mated" if mated.all() else "mated"
        message = (
            f"{source} has {counted(len(mated), 'comparison')} and none of them is "
            f"{missing}; error rates need both kinds"
        )
        raise InputError(message)


def check_comparisons(
    source: Path, names: Sequence[str], comparisons: Comparisons
) -> tuple[str, ...]:
    """Check comparisons that a file lists by name; a note if some are repeated.

    InputError if one kind is missing, a unit is compared with itself, or two lines that
    compare the same units disagree.
    """
    first, second, mated = comparisons
    check_kinds(source, mated)
    if (alone := np.flatnonzero(first == second)).size:
        shown = listed([names[int(unit)] for unit in first[alone]])
        message = (
            f"{source} compares {shown} with itself ({len(alone)} of "
            f"{counted(len(mated), 'comparison')}); leave such lines out"
        )
        raise InputError(message)
    repeated, disagreeing = repeated_pairs(len(names), comparisons)
    if len(disagreeing):
        shown = listed([f"{names[a]} and {names[b]}" for a, b in disagreeing])
        message = (
            f"{source} lists {shown} as mated and as non-mated "
            f"({counted(len(disagreeing), 'pair')}); keep what is true"
        )
        raise InputError(message)
    if not repeated:
        return ()
    often = counted(repeated, "comparison")
    return (f"{often} repeat another and count as often as they are listed",)


def repeated_pairs(
    unit_count: int, comparisons: Comparisons
) -> tuple[int, list[tuple[int, int]]]:
    """Count comparisons that repeat one before them, of the same units in either order.

    Gives the pairs (low, high) of units, too, that are listed both as mated and not.
    """
    first, second, mated = comparisons
    # In place: Adience has 188 million comparisons.
    key = np.minimum(first, second).astype(np.int64)
    key *= unit_count
    key += np.maximum(first, second)
    key *= 2
    key += mated
    key.sort()
    step = np.diff(key)
    # The same pair with the other label is the next number, if the first one is even.
    differ = (step == 1) & (key[:-1] % 2 == 0)
    repeated = int((step == 0).sum() + differ.sum())
    disagreeing = np.unique(key[:-1][differ] // 2)
    return repeated, [divmod(int(each), unit_count) for each in disagreeing]


def joined(unit_count: int, comparisons: Comparisons) -> Int[np.ndarray, " units"]:
    """Group the units that mated comparisons join, directly or through others.

    Units of one group show one person, if the labels are right. Two groups may show one
    person, too, if no comparison says so: the groups are a lower bound of the
    identities, and a bootstrap by groups draws at most too many units. Gives the group
    of each unit, int32, counted from 0 in the order of their first units.

    >>> one, other = np.array([1, 3, 0]), np.array([3, 2, 1])
    >>> mated = np.array([True, True, False])
    >>> joined(4, Comparisons(one, other, mated)).tolist()
    [0, 1, 1, 1]
    """
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second, mated = comparisons
    ends = first[mated], second[mated]
    edges = coo_array(
        (np.ones(len(ends[0]), np.int8), ends), shape=(unit_count, unit_count)
    )
    labels = connected_components(edges, directed=False)[1]
    return pd.factorize(labels)[0].astype(np.int32)


def groups_of_all_pairs(
    unit_count: int, comparisons: Comparisons
) -> Int[np.ndarray, " units"] | None:
    """Tell who is who if every unit is compared with every other one, once.

    Gives groups as :func:`joined`: units are mated if and only if they are of one
    group. None if some pairs are not listed, or A is B and B is C, but A is not C.
    """
    mated = comparisons.mated
    if len(mated) != unit_count * (unit_count - 1) // 2:
        return None
    groups = joined(unit_count, comparisons)
    sizes = np.bincount(groups).astype(np.int64)
    # All mated pairs are within groups: there must be no other pair within.
    complete = int((sizes * (sizes - 1) // 2).sum()) == int(mated.sum())
    return groups if complete else None


def group_names(groups: Int[np.ndarray, " units"]) -> tuple[str, ...]:
    """Name groups as identities."""
    return tuple(f"group_{each}" for each in groups.tolist())
