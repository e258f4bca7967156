"""Accuracy of verification as LFW defines it: thresholds found on the other folds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import checked_mated, checked_values


def accuracy(similarity: ArrayLike, mated: ArrayLike, folds: int = 10) -> float:
    """Compute the accuracy of verification by the protocol of LFW.

    The list of comparisons is cut into folds, in its order. Those of each fold are
    decided with the threshold that decides most comparisons of the other folds rightly;
    of several that do, the highest.

    Parameters
    ----------
    similarity, mated
        Shape (comparisons,), in the order of the benchmark's list: higher = more alike;
        some of either kind.
    folds
        How many, of sizes that differ by one at most, the larger ones first.

    Returns
    -------
    float
        Mean over the folds of the fraction of comparisons decided rightly, in [0, 1]: a
        mated one is if ``similarity >= threshold``, a non-mated one if not.

    Raises
    ------
    InputError
        If shapes differ, a similarity is not finite, one kind is missing, or there are
        fewer than two folds, or fewer comparisons than folds.

    Notes
    -----
    It depends on the order of the list: the folds of LFW and its successors are ten
    blocks of as many mated as non-mated comparisons. A threshold that separates the
    other folds need not separate its own, so that an equal error rate of 0 does not
    make it 1.

    InsightFace's ``verification.py`` cuts the same folds, but tries squared distances
    from 0 to 4 in steps of 0.01 only (cosines in steps of 0.005), and of the best takes
    the lowest, the highest similarity. Here every threshold counts, so that the two
    differ by the comparisons within a step. It adds the embeddings of an image and of
    its mirror image up, before they have unit norm; that is the caller's choice.

    References
    ----------
    Huang, Ramesh, Berg & Learned-Miller (2007). Labeled Faces in the Wild: A database
    for studying face recognition in unconstrained environments. UMass Amherst, TR
    07-49.

    Examples
    --------
    >>> accuracy([0.9, 0.1, 0.8, 0.2, 0.3, 0.4], [1, 0, 1, 0, 1, 0], folds=3)
    0.666...
    """
    values = checked_values("similarity", similarity)
    is_mated = checked_mated(mated, len(values))
    if not 2 <= folds <= len(values):
        message = (
            f"{folds} folds of {len(values)} comparisons; give from 2 to as many folds "
            "as comparisons"
        )
        raise InputError(message)
    right = []
    for fold in np.array_split(np.arange(len(values)), folds):
        others = np.ones(len(values), np.bool_)
        others[fold] = False
        threshold = _best_threshold(values[others], is_mated[others])
        right.append(np.mean((values[fold] >= threshold) == is_mated[fold]))
    return float(np.mean(right))


def _best_threshold(
    values: NDArray[np.floating], is_mated: NDArray[np.bool_]
) -> np.floating:
    """Find the highest threshold that decides most comparisons rightly."""
    distinct, place = np.unique(values, return_inverse=True)
    # From one distinct similarity to the next, those of the lower one no longer match.
    gained = np.bincount(place, np.where(is_mated, -1, 1))
    right = np.append(0, np.cumsum(gained))
    best = len(right) - 1 - int(np.argmax(right[::-1]))
    # Above the highest, any threshold decides alike: nothing matches.
    return np.append(distinct, np.inf)[best]
