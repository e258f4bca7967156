"""Which units must show one person: those that mated comparisons join."""

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Benchmark

MATED = "mated comparisons"
"""Source of identities that are groups of units."""


def mated_groups(benchmark: Benchmark) -> Int[np.ndarray, " units"]:
    """Group the units that mated comparisons join, directly or through others.

    Units of one group show one person, if the labels are right. Two groups may show
    one person, too, if no comparison says so: the groups are a lower bound of the
    identities, and a bootstrap by groups draws at most too many units.

    Parameters
    ----------
    benchmark
        With listed comparisons, or all pairs of known identities.

    Returns
    -------
    ndarray
        Group of each unit, int32, counted from 0 in the order of their first units.
    """
    if benchmark.comparisons is None:
        _, labels = np.unique(np.array(benchmark.identities, str), return_inverse=True)
    else:
        labels = joined(benchmark.unit_count, *benchmark.comparisons)
    return in_order_of_appearance(labels)


def joined(
    unit_count: int,
    first: Int[np.ndarray, " comparisons"],
    second: Int[np.ndarray, " comparisons"],
    mated: Bool[np.ndarray, " comparisons"],
) -> Int[np.ndarray, " units"]:
    """Label the connected components of the graph of mated comparisons."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = first[mated], second[mated]
    edges = coo_array(
        (np.ones(len(ends[0]), np.int8), ends), shape=(unit_count, unit_count)
    )
    return connected_components(edges, directed=False)[1]


def groups_of_all_pairs(
    unit_count: int,
    first: Int[np.ndarray, " comparisons"],
    second: Int[np.ndarray, " comparisons"],
    mated: Bool[np.ndarray, " comparisons"],
) -> Int[np.ndarray, " units"] | None:
    """Tell who is who if every unit is compared with every other one.

    Parameters
    ----------
    unit_count, first, second, mated
        Comparisons, of which none repeats another.

    Returns
    -------
    ndarray or None
        Group of each unit, as `mated_groups` gives it; two of them are mated if and
        only if they are of one group. None if some pairs are not listed, or the labels
        say that A is B and B is C, but A is not C.
    """
    if len(mated) != unit_count * (unit_count - 1) // 2:
        return None
    groups = in_order_of_appearance(joined(unit_count, first, second, mated))
    sizes = np.bincount(groups).astype(np.int64)
    # All mated pairs are within groups: there must be no other pair within.
    if int((sizes * (sizes - 1) // 2).sum()) != int(mated.sum()):
        return None
    return groups


def group_names(groups: Int[np.ndarray, " units"]) -> tuple[str, ...]:
    """Name groups as identities."""
    return tuple(f"group_{each}" for each in groups.tolist())


def in_order_of_appearance(labels: Int[np.ndarray, " units"]) -> np.ndarray:
    """Renumber labels, int32, so that new ones appear as 0, 1, 2 and so on.

    Examples
    --------
    >>> in_order_of_appearance(np.array([7, 3, 7, 0])).tolist()
    [0, 1, 0, 2]
    """
    _, where, place = np.unique(labels, return_index=True, return_inverse=True)
    order = np.empty(len(where), np.int32)
    order[np.argsort(where)] = np.arange(len(where), dtype=np.int32)
    return order[place.ravel()]
