"""Choose pictures for a check: evenly, and all of a person or none."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.images import ImageFolder

ENOUGH_PEOPLE = 5
"""Fewer people are no sample to draw from: see `separation`."""


def sample(folder: ImageFolder, most: int) -> NDArray[np.intp]:
    """Choose at most ``most`` pictures of a folder.

    With enough people who have two pictures or more, people are taken evenly from their
    sorted names, each with all pictures. (If a few people alone have more, pictures are
    taken evenly from each of five.) Otherwise pictures are taken evenly.

    Parameters
    ----------
    folder
        Pictures, and who is on them where that is known.
    most
        Largest number of pictures, at least 1.

    Returns
    -------
    ndarray
        Indices into the names of the folder, sorted.
    """
    pictures: dict[str, list[int]] = {}
    for index, who in enumerate(folder.identities):
        if who is not None:
            pictures.setdefault(who, []).append(index)
    people = [pictures[who] for who in sorted(pictures) if len(pictures[who]) > 1]
    if len(people) < ENOUGH_PEOPLE:
        return _evenly(len(folder.names), most)
    for count in range(min(len(people), most // 2), ENOUGH_PEOPLE - 1, -1):
        chosen = [people[each] for each in _evenly(len(people), count)]
        if sum(map(len, chosen)) <= most:
            return np.sort(np.concatenate(chosen))
    some = [people[each] for each in _evenly(len(people), ENOUGH_PEOPLE)]
    share = max(2, most // ENOUGH_PEOPLE)
    parts = [np.asarray(each)[_evenly(len(each), share)] for each in some]
    return np.sort(np.concatenate(parts))


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    """Take at most ``most`` of ``count`` places, from the first to the last.

    >>> _evenly(10, 3), _evenly(2, 3)
    (array([0, 4, 9]), array([0, 1]))
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)
