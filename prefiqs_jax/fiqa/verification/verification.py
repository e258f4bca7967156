"""Errors of 1:1 verification: the threshold at a rate, and the rates at a threshold.

One convention throughout: a comparison **matches if similarity >= threshold**. A mated
comparison that does not match is a false non-match, a non-mated one that does a false
match, so FNMR counts ``similarity < threshold`` and FMR ``similarity >= threshold``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.fiqa.checks import check_fmr, checked_mated, checked_values


def angular_similarity(cosine: ArrayLike) -> NDArray[np.float64]:
    """Turn cosines into minus the angle over π, the score that CR-FIQA thresholds.

    similarity = -arccos(cosine) / π, in [-1, 0]

    Parameters
    ----------
    cosine
        Cosines of unit vectors. Those that rounding left beyond ±1 count as ±1.

    Returns
    -------
    ndarray
        Same shape. A monotone map, so errors stay what they are, except that cosines
        that differ by rounding only may become ties.

    References
    ----------
    Boutros et al. (2023). CR-FIQA: Face image quality assessment by learning sample
    relative classifiability. CVPR, arXiv 2112.06592; its evaluation code.

    Examples
    --------
    >>> angular_similarity([1.0, 0.0, -1.0])
    array([-0. , -0.5, -1. ])
    """
    return -np.arccos(np.clip(np.asarray(cosine, np.float64), -1, 1)) / np.pi


def threshold_at_fmr(non_mated_similarity: ArrayLike, fmr: float) -> float:
    """Find the lowest threshold whose false match rate is at most ``fmr``.

    The k = floor(fmr · n) most similar of n comparisons may match falsely; the
    threshold is the next number above the similarity that comes after them.

    Parameters
    ----------
    non_mated_similarity
        Shape (comparisons,), all of them: the number is what the rate refers to.
    fmr
        False match rate, in (0, 1).

    Returns
    -------
    float
        Threshold; matches are ``similarity >= threshold``. In the precision of the
        similarities, so comparing float32 with it is exact, too.

    Raises
    ------
    InputError
        If fmr is outside (0, 1), or there are no similarities, or one is not finite.

    Notes
    -----
    An ``fmr`` below 1 / n cannot be resolved: k = 0, the threshold lies just above the
    largest non-mated similarity, and the rate is 0 (ZeroFMR), whatever ``fmr`` was. A
    tie that starts within the k and ends outside counts as outside, so the rate may
    stay below ``fmr``, never above.

    Examples
    --------
    >>> similarity = np.array([0.1, 0.2, 0.3, 0.4])
    >>> threshold = threshold_at_fmr(similarity, 0.25)
    >>> 0.3 < threshold <= 0.4, fmr_at(similarity, threshold)
    (True, 0.25)
    >>> fmr_at(similarity, threshold_at_fmr(similarity, 0.1))
    0.0
    """
    check_fmr(fmr)
    values = checked_values("non_mated_similarity", non_mated_similarity)
    place = len(values) - 1 - allowed_count(fmr, len(values))
    return next_above(np.partition(values, place)[place])


def nearest_threshold(non_mated_similarity: ArrayLike, fmr: float) -> float:
    """Find the non-mated similarity whose false match rate is nearest to ``fmr``.

    Parameters
    ----------
    non_mated_similarity
        Shape (comparisons,), all of them.
    fmr
        False match rate, in (0, 1).

    Returns
    -------
    float
        Threshold; matches are ``similarity >= threshold``. Of two that are as near, the
        lower one. The rate may be above ``fmr``, and is never 0.

    Raises
    ------
    InputError
        If fmr is outside (0, 1), or there are no similarities, or one is not finite.

    Examples
    --------
    >>> nearest_threshold([0.1, 0.2, 0.3, 0.4], 0.3)
    0.4
    """
    check_fmr(fmr)
    values = np.sort(checked_values("non_mated_similarity", non_mated_similarity))
    count = len(values)
    rate = (count - np.searchsorted(values, values)) / count
    return float(values[np.argmin(np.abs(rate - fmr))])


def allowed_count(fraction: float, count: int) -> int:
    """Give the largest k below ``count`` with k / count <= fraction, as these divide.

    The product would round: 0.29 · 100 is below 29.

    Examples
    --------
    >>> allowed_count(0.29, 100), int(0.29 * 100)
    (29, 28)
    """
    allowed = min(int(fraction * count) + 1, count - 1)
    while allowed / count > fraction:
        allowed -= 1
    return allowed


def is_zero_fmr(fmr: float, non_mated_count: int) -> bool:
    """Return whether an FMR is finer than so many non-mated comparisons resolve.

    The threshold then lies above the most similar of them, and the FMR is 0, whatever
    was asked for: ZeroFMR.

    Parameters
    ----------
    fmr
        False match rate asked for, in (0, 1).
    non_mated_count
        Non-mated comparisons.

    Returns
    -------
    bool
        Whether ``fmr`` is below one over the count.

    Examples
    --------
    >>> is_zero_fmr(1e-4, 3000), is_zero_fmr(1e-3, 3000)
    (True, False)
    """
    return non_mated_count == 0 or allowed_count(fmr, non_mated_count) == 0


def next_above(value: np.floating) -> float:
    """Give the next number above a value, in the value's own precision."""
    return float(np.nextafter(value, value.dtype.type(np.inf)))


def fnmr_at(mated_similarity: ArrayLike, threshold: float) -> float:
    """Compute the fraction of mated comparisons with ``similarity < threshold``.

    Parameters
    ----------
    mated_similarity
        Shape (comparisons,).
    threshold
        Lowest similarity that matches.

    Returns
    -------
    float
        False non-match rate, in [0, 1].

    Raises
    ------
    InputError
        If there are no similarities, or one is not finite.

    Examples
    --------
    >>> fnmr_at([0.1, 0.5, 0.5, 0.9], 0.5)
    0.25
    """
    values = checked_values("mated_similarity", mated_similarity)
    return float(np.mean(values < np.float64(threshold)))


def fmr_at(non_mated_similarity: ArrayLike, threshold: float) -> float:
    """Compute the fraction of non-mated comparisons with ``similarity >= threshold``.

    Parameters
    ----------
    non_mated_similarity
        Shape (comparisons,).
    threshold
        Lowest similarity that matches.

    Returns
    -------
    float
        False match rate, in [0, 1].

    Raises
    ------
    InputError
        If there are no similarities, or one is not finite.

    Examples
    --------
    >>> fmr_at([0.1, 0.5, 0.5, 0.9], 0.5)
    0.75
    """
    values = checked_values("non_mated_similarity", non_mated_similarity)
    return float(np.mean(values >= np.float64(threshold)))


class OperatingPoint(NamedTuple):
    """The threshold at a false match rate, and the errors there."""

    threshold: float
    """Lowest similarity that matches."""
    fmr: float
    """False match rate asked for."""
    achieved_fmr: float
    """Fraction of the non-mated comparisons that match."""
    fnmr: float
    """Fraction of the mated comparisons that do not match."""
    mated_count: int
    """Mated comparisons."""
    non_mated_count: int
    """Non-mated comparisons."""
    is_zero_fmr: bool
    """Whether the FMR is finer than the non-mated comparisons can tell; then no false
    match is allowed at all."""


def operating_point(
    similarity: ArrayLike, mated: ArrayLike, fmr: float
) -> OperatingPoint:
    """Find the threshold at a false match rate, and say what it really achieves.

    Parameters
    ----------
    similarity, mated
        Shape (comparisons,): higher = more alike; some of either kind.
    fmr
        False match rate, in (0, 1).

    Returns
    -------
    OperatingPoint
        Threshold as of :func:`threshold_at_fmr`, rates, counts, and whether it is a
        ZeroFMR.

    Raises
    ------
    InputError
        If shapes differ, a similarity is not finite, one kind is missing, or fmr is
        outside (0, 1).

    Examples
    --------
    >>> point = operating_point([0.9, 0.4, 0.5, 0.1], [1, 1, 0, 0], 1e-3)
    >>> point.fnmr, point.achieved_fmr, point.is_zero_fmr
    (0.5, 0.0, True)
    """
    values = checked_values("similarity", similarity)
    is_mated = checked_mated(mated, len(values))
    mated_values, others = values[is_mated], values[~is_mated]
    threshold = threshold_at_fmr(others, fmr)
    return OperatingPoint(
        threshold,
        fmr,
        fmr_at(others, threshold),
        fnmr_at(mated_values, threshold),
        len(mated_values),
        len(others),
        is_zero_fmr(fmr, len(others)),
    )
