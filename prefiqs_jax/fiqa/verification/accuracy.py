"""Accuracy of verification as LFW defines it: thresholds found on the other folds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import checked_mated, checked_values


def accuracy(similarity: ArrayLike, mated: ArrayLike, folds: int = 10) -> float:
    """Compute the accuracy of verification by the protocol of LFW.

    The mean of :func:`fold_accuracies`, which takes the same arguments.

    >>> accuracy([0.9, 0.1, 0.8, 0.2, 0.3, 0.4], [1, 0, 1, 0, 1, 0], folds=3)
    0.666...
    """
    return float(np.mean(fold_accuracies(similarity, mated, folds)))


def fold_accuracies(
    similarity: ArrayLike, mated: ArrayLike, folds: int = 10
) -> NDArray[np.float64]:
    """Compute the accuracy of verification in each fold, by the protocol of LFW.

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
    ndarray
        Shape (folds,): the fraction of comparisons decided rightly, in [0, 1]. A mated
        one is if ``similarity >= threshold``, a non-mated one if not.

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

    No person is in two of LFW's folds: :func:`accuracy_interval`.

    References
    ----------
    Huang, Ramesh, Berg & Learned-Miller (2007). Labeled Faces in the Wild: A database
    for studying face recognition in unconstrained environments. UMass Amherst, TR
    07-49.

    Examples
    --------
    >>> fold_accuracies([0.9, 0.1, 0.8, 0.2, 0.3, 0.4], [1, 0, 1, 0, 1, 0], folds=3)
    array([1. , 0.5, 0.5])
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
    return np.array(right)


def accuracy_interval(
    rates: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Give the interval of a mean accuracy from those of its folds.

    Mean ± t s √(1/k + 1/(k - 1)), cut to [0, 1]: s the standard deviation over the k
    folds, t of Student's distribution with k - 1 degrees of freedom. LFW's own standard
    error, s / √k, takes folds as independent. But each has its threshold from the
    others, so that it is a fifth too small, and its interval covers 85 to 93 % in
    simulations, this one 95 to 99 %. It holds only where no person is in two folds.

    Parameters
    ----------
    rates
        From :func:`fold_accuracies`.
    confidence
        Between 0 and 1.

    Returns
    -------
    tuple of float
        Its ends; NaN where all folds have one accuracy, such as 1, which tells nothing
        of how far the mean may be off.

    Raises
    ------
    InputError
        If there are fewer than two folds, or the confidence is not between 0 and 1.

    References
    ----------
    Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning
    52, 239-281: the corrected variance, with k - 1 folds to train on for one to test.

    Examples
    --------
    >>> [round(end, 4) for end in accuracy_interval([0.9, 0.95, 0.94, 0.91])]
    [0.8671, 0.9829]
    """
    values = np.asarray(rates, np.float64)
    if values.ndim != 1 or len(values) < 2:
        message = f"accuracies of shape {values.shape}; give those of two folds or more"
        raise InputError(message)
    if not 0 < confidence < 1:
        message = f"confidence {confidence}: choose a number between 0 and 1"
        raise InputError(message)
    if np.ptp(values) == 0:
        return np.nan, np.nan
    count = len(values)
    error = values.std(ddof=1) * np.sqrt(1 / count + 1 / (count - 1))
    reach = stdtrit(count - 1, (1 + confidence) / 2) * error
    middle = values.mean()
    return float(max(0, middle - reach)), float(min(1, middle + reach))


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
