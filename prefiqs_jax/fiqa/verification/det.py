"""Detection error trade-off: both error rates of verification at every threshold."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.fiqa.checks import checked_mated, checked_values
from prefiqs_jax.fiqa.verification.verification import next_above


class DET(NamedTuple):
    """Error rates at rising thresholds: the FMR falls, the FNMR climbs."""

    threshold: Float[np.ndarray, " points"]
    """Similarity from which comparisons match."""
    fmr: Float[np.ndarray, " points"]
    """Fraction of the non-mated comparisons that match."""
    fnmr: Float[np.ndarray, " points"]
    """Fraction of the mated comparisons that do not match."""
    mated_count: int
    """Mated comparisons."""
    non_mated_count: int
    """Non-mated comparisons; an FMR below one over this is not resolved."""


def det(similarity: ArrayLike, mated: ArrayLike, *, every: bool = False) -> DET:
    """Compute FMR and FNMR at every threshold at which they change.

    Parameters
    ----------
    similarity, mated
        Shape (comparisons,): higher = more alike; some of either kind.
    every
        Give a point at each distinct similarity. By default only the corners of the
        staircase: a point between two others on one straight line is left out, which
        changes neither curve nor envelope, and leaves a small part of the points.

    Returns
    -------
    DET
        From a threshold at the lowest similarity, (FMR, FNMR) = (1, 0), to one above
        the highest, (0, 1).

    Raises
    ------
    InputError
        If shapes differ, a similarity is not finite, or one kind is missing.

    References
    ----------
    Martin, Doddington, Kamm, Ordowski & Przybocki (1997). The DET curve in assessment
    of detection task performance. Eurospeech. ISO/IEC 19795-1 for the rates.

    Examples
    --------
    >>> curve = det([0.1, 0.2, 0.5, 0.4, 0.9], [0, 0, 0, 1, 1])
    >>> curve.fmr.round(2), curve.fnmr.round(2)
    (array([1.  , 0.33, 0.33, 0.  , 0.  ]), array([0. , 0. , 0.5, 0.5, 1. ]))
    """
    values = checked_values("similarity", similarity)
    is_mated = checked_mated(mated, len(values))
    mated_sorted, others = np.sort(values[is_mated]), np.sort(values[~is_mated])
    distinct = np.union1d(_distinct(mated_sorted), _distinct(others))
    misses = np.append(np.searchsorted(mated_sorted, distinct), len(mated_sorted))
    matches = len(others) - np.append(np.searchsorted(others, distinct), len(others))
    threshold = np.append(distinct.astype(np.float64), next_above(distinct[-1]))
    if not every:
        kept = _corners(misses, matches)
        threshold, misses, matches = threshold[kept], misses[kept], matches[kept]
    return DET(
        threshold,
        matches / len(others),
        misses / len(mated_sorted),
        len(mated_sorted),
        len(others),
    )


def equal_error_rate(similarity: ArrayLike, mated: ArrayLike) -> float:
    """Compute the rate at which FMR and FNMR are equal.

    The thresholds at the distinct similarities, and one above them all, give points
    (FMR, FNMR) from (1, 0) to (0, 1). Straight lines join them, on linear axes, and the
    result is where FMR = FNMR on these.

    Parameters
    ----------
    similarity, mated
        Shape (comparisons,): higher = more alike; some of either kind.

    Returns
    -------
    float
        Equal error rate: 0 if some threshold separates the two kinds, 0.5 if all
        similarities are equal. Other conventions (the mean of the two rates where they
        are nearest, the convex hull) differ by up to one comparison's share.

    Raises
    ------
    InputError
        If shapes differ, a similarity is not finite, or one kind is missing.

    Examples
    --------
    >>> equal_error_rate([0.9, 0.4, 0.5, 0.1], [True, True, False, False])
    0.5
    """
    curve = det(similarity, mated, every=True)
    excess = curve.fnmr - curve.fmr
    after = int(np.argmax(excess >= 0))  # it rises from -1 to 1
    before = after - 1
    share = excess[before] / (excess[before] - excess[after])
    return float(curve.fnmr[before] + share * (curve.fnmr[after] - curve.fnmr[before]))


def _distinct(ordered: NDArray[np.floating]) -> NDArray[np.floating]:
    return ordered[np.append(True, ordered[1:] != ordered[:-1])]


def _corners(
    misses: NDArray[np.integer], matches: NDArray[np.integer]
) -> Bool[np.ndarray, " points"]:
    """Return which points are corners of the staircase."""
    kept = np.ones(len(misses), np.bool_)
    for rate in (misses, matches):
        kept[1:-1] &= (rate[1:-1] != rate[:-2]) | (rate[1:-1] != rate[2:])
    return kept
