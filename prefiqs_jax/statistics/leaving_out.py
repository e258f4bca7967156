"""Leave out one person at a time, or one group of people where there are very many."""

import numpy as np
from jaxtyping import Float, Int

MOST_GROUPS = 200
"""Clusters left out one by one; of more, as many groups are. Student's quantile of 199
degrees of freedom is within 1 % of the normal one."""


def deletion_groups(
    clusters: Int[np.ndarray, " images"], most: int = MOST_GROUPS
) -> Int[np.ndarray, " images"]:
    """Give each image the group that is left out with it.

    Parameters
    ----------
    clusters
        Shape (images,): the cluster of each image, from 0 without gaps.
    most
        Groups at most. Up to so many clusters are a group each; more are dealt out at
        random, always in the same way, into groups of the same number, give or take
        one.

    Returns
    -------
    ndarray
        Shape (images,), from 0 without gaps.

    References
    ----------
    Kott (2001). The delete-a-group jackknife. Journal of Official Statistics 17.

    Examples
    --------
    >>> deletion_groups(np.array([0, 0, 1, 2]))
    array([0, 0, 1, 2])
    >>> np.bincount(deletion_groups(np.arange(400)))[:3]
    array([2, 2, 2])
    """
    count = int(clusters.max()) + 1 if len(clusters) else 0
    if count <= most:
        return clusters
    return (np.random.default_rng(0).permutation(count) % most)[clusters]


def without_each(
    groups: Int[np.ndarray, " images"], first: int, last: int
) -> Float[np.ndarray, "groups images"]:
    """Make the weights that leave out group ``first``, …, ``last - 1``.

    Returns
    -------
    ndarray
        Shape (last - first, images): 0 for images of the group, 1 for the others.

    Examples
    --------
    >>> without_each(np.array([0, 0, 1]), 0, 2)
    array([[0., 0., 1.],
           [1., 1., 0.]])
    """
    return (np.arange(first, last)[:, None] != groups).astype(np.float64)
