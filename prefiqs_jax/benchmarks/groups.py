"""Which units must show one person: those that mated comparisons join."""

import numpy as np
from jaxtyping import Int

from prefiqs_jax.benchmarks.benchmark import Comparisons

MATED = "mated comparisons"
"""Source of identities that are groups of units."""


def joined(unit_count: int, comparisons: Comparisons) -> Int[np.ndarray, " units"]:
    """Group the units that mated comparisons join, directly or through others.

    Units of one group show one person, if the labels are right. Two groups may show
    one person, too, if no comparison says so: the groups are a lower bound of the
    identities, and a bootstrap by groups draws at most too many units.

    Returns
    -------
    ndarray
        Group of each unit, int32, counted from 0 in the order of their first units.

    Examples
    --------
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

    Returns
    -------
    ndarray or None
        Groups as :func:`joined` gives them; two units are mated if and only if they are
        of one group. None if some pairs are not listed, or the labels say that A is B
        and B is C, but A is not C.
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
