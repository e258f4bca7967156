"""Numbers read off an error-versus-discard curve: its area, its value at a fraction."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.fiqa.checks import check_max_discard
from prefiqs_jax.fiqa.discard.edc import EDC

NORMALISATIONS = ("none", "range", "start", "best", "scaled")
# The published grid has 0.15000000000000002 for 0.15; comparisons are far coarser.
ROUNDING = 1e-12


def pauc(curve: EDC, *, max_discard: float = 0.3, normalise: str = "none") -> float:
    """Integrate the FNMR over the discard fractions up to ``max_discard``.

    Straight lines between the points if the protocol is linear ("crfiqa"), steps if it
    is stepwise ("fiqat"). Where no point lies at the limit, the curve is read there.

    Parameters
    ----------
    curve
        Error-versus-discard curve.
    max_discard
        Largest fraction of comparisons discarded, in (0, 1], and on the curve.
    normalise
        "none": the area, as the evaluation code of CR-FIQA and tables in its wake have
        it. "range": divided by ``max_discard``, the mean FNMR. "start": divided by
        ``max_discard`` times the FNMR before any discard, so that a quality without
        information has 1. "best": the area minus that of the best curve as fiqat has
        it, ``best_pauc(start, max_discard, straight=True)``; only where mated
        comparisons are discarded by themselves at a fixed threshold, as with "fiqat".
        "scaled": the area minus the least one that any quality has on these comparisons
        (:func:`best_curve`), divided by what the area of a quality without information
        is above it: 0 for the best possible quality, 1 for one without information,
        more for one that misleads; only at a fixed threshold.

    Returns
    -------
    float
        The area, lower = better; never compare one normalisation with another.

    Raises
    ------
    InputError
        If the limit is outside (0, 1] or beyond the curve, no mated comparison is left
        on the way to it, the normalisation is unknown or does not fit the protocol, or
        it divides by an FNMR of 0.

    References
    ----------
    Schlett, Rathgeb, Tapia & Busch (2023). Considerations on the evaluation of
    biometric quality assessment algorithms. arXiv 2303.13294: steps, relative areas.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import edc
    >>> similarity = np.array([0.2, 0.9, 0.8, 0.5, 0.1])
    >>> curve = edc(similarity, [1, 1, 1, 0, 0], np.ones(5), protocol="fiqat")
    >>> round(pauc(curve, max_discard=0.3), 12)
    0.1
    >>> round(pauc(curve, max_discard=0.3, normalise="start"), 12)
    1.0
    """
    check_choice("normalise", normalise, NORMALISATIONS)
    check_max_discard(max_discard)
    end = fnmr_after_discard(curve, max_discard)
    inside = curve.discard_fraction < max_discard
    x = np.append(curve.discard_fraction[inside], max_discard)
    y = np.append(curve.fnmr[inside], end)
    if np.isnan(y).any():
        at = float(x[np.argmax(np.isnan(y))])
        message = (
            f"the FNMR at discard fraction {at:.3g} is not defined, because nothing is "
            f"left to compute it from; max_discard={max_discard} must stay below it"
        )
        raise InputError(message)
    interpolation = curve.switches.interpolation
    area = area_under(curve.discard_fraction, curve.fnmr, max_discard, interpolation)
    if normalise == "none":
        return area
    if normalise == "range":
        return area / max_discard
    start = float(curve.fnmr[0])
    if normalise == "best":
        switches = curve.switches
        if switches.threshold != "fixed" or switches.discard == "pooled":
            message = (
                'normalise="best" needs the best possible curve as fiqat has it, known '
                'only at a fixed threshold with mated discards, as with "fiqat"'
            )
            raise InputError(message)
        return area - (start**2 / 2 - max(0.0, start - max_discard) ** 2 / 2)
    if start == 0:
        message = (
            "the FNMR before any discard is 0, so no area is relative to it; use "
            'normalise="range" or a lower fmr'
        )
        raise InputError(message)
    if normalise == "start":
        return area / (max_discard * start)
    least = area_under(*best_curve(curve), max_discard, interpolation)
    if least >= max_discard * start:
        message = (
            "no quality has an area below that of one without information: all mated "
            'comparisons fail, or too few are discarded; use normalise="range"'
        )
        raise InputError(message)
    return (area - least) / (max_discard * start - least)


def best_curve(curve: EDC) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the lowest curve that any quality has on the same comparisons.

    FNMR = max(0, errors - gone) / (mated - gone) while errors are left: they go first

    Parameters
    ----------
    curve
        Curve of any quality, at a fixed threshold.

    Returns
    -------
    tuple of ndarray
        Discard fractions and FNMR at the steps of the protocol; if these are all, after
        each comparison.

    Raises
    ------
    InputError
        If the threshold is found at each step: it then depends on what is discarded.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import edc
    >>> similarity = np.array([0.2, 0.9, 0.8, 0.5, 0.1])
    >>> curve = edc(similarity, [1, 1, 1, 0, 0], np.ones(5), protocol="fiqat")
    >>> best_curve(curve)[1].round(2)
    array([0.33, 0.  , 0.  , 0.  ])
    """
    switches = curve.switches
    if switches.threshold != "fixed":
        message = (
            "the best possible curve is known only at a fixed threshold, as with "
            '"fiqat"; a threshold per step depends on what is discarded'
        )
        raise InputError(message)
    mated = round(float(curve.mated_count[0]))
    errors = round(float(curve.fnmr[0]) * mated)
    total = mated
    if switches.discard == "pooled":
        total += round(float(curve.non_mated_count[0]))
    gone, fraction = np.arange(total + 1), np.arange(total + 1) / total
    if switches.steps == "grid":
        fraction = curve.discard_fraction
        gone = np.floor(fraction * total)
    # Beyond the errors, nothing that goes changes a rate of 0.
    fnmr = np.zeros(len(gone))
    before = gone < errors
    fnmr[before] = (errors - gone[before]) / (mated - gone[before])
    return fraction, fnmr


def fnmr_after_discard(curve: EDC, fraction: float) -> float:
    """Read the FNMR off the curve after a fraction of the *comparisons* is discarded.

    Parameters
    ----------
    curve
        Error-versus-discard curve.
    fraction
        Fraction of comparisons discarded, in [0, 1], and on the curve.

    Returns
    -------
    float
        FNMR between the points as the protocol says: on a straight line, or that of
        the last point. NaN where the curve is.

    Raises
    ------
    InputError
        If the fraction is outside [0, 1] or beyond the last point.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import edc
    >>> curve = edc([0.2, 0.9, 0.8, 0.5, 0.1], [1, 1, 1, 0, 0], [1, 2, 2, 3, 3],
    ...     protocol="fiqat")
    >>> round(fnmr_after_discard(curve, 0.3), 3), fnmr_after_discard(curve, 0.4)
    (0.333, 0.0)
    """
    last = float(curve.discard_fraction[-1])
    if not 0 <= fraction <= 1 or fraction > last + ROUNDING:
        message = (
            f"discard fraction {fraction} is outside 0 to {last:g}, where this "
            f"{curve.protocol} curve lies"
        )
        raise InputError(message)
    x, y, at = curve.discard_fraction, curve.fnmr, np.array([fraction])
    return float(read_curve(x, y, at, curve.switches.interpolation)[0])


def read_curve(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    at: NDArray[np.float64],
    interpolation: str,
) -> Float[np.ndarray, " places"]:
    """Read a curve at some places, from its first to its last ``x``.

    ``x`` rises from 0; of equal ones, the last counts. Between the points lie lines if
    ``interpolation`` is "linear", or "step": constant up to the next point.

    >>> x, y = np.array([0.0, 0.5]), np.array([1.0, 3.0])
    >>> read_curve(x, y, np.array([0.25]), "linear")
    array([2.])
    >>> read_curve(x, y, np.array([0.25]), "step")
    array([1.])
    """
    place = np.searchsorted(x, at + ROUNDING, side="right") - 1
    if interpolation == "step":
        return y[place]
    after = np.minimum(place + 1, len(x) - 1)
    width = np.where(after > place, x[after] - x[place], 1)
    share = np.maximum(at - x[place], 0) / width
    # On a point its neighbour does not matter, which may be NaN.
    on_point = share * width <= ROUNDING
    return np.where(on_point, y[place], y[place] + share * (y[after] - y[place]))


def area_under(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    end: float,
    interpolation: str,
) -> float:
    """Integrate a curve from 0 to ``end``; NaN if a value on the way is.

    >>> x, y = np.array([0.0, 0.5]), np.array([1.0, 3.0])
    >>> area_under(x, y, 0.5, "linear"), area_under(x, y, 0.5, "step")
    (1.0, 0.5)
    """
    inside = int(np.searchsorted(x, end))
    last = read_curve(x, y, np.array([end]), interpolation)
    widths = np.diff(np.append(x[:inside], end))
    heights = np.append(y[:inside], last)
    if interpolation == "linear":
        heights = (heights[1:] + heights[:-1]) / 2
        return float(np.sum(heights * widths))
    # A step without width may be undefined.
    return float(np.sum(heights[:-1][widths > 0] * widths[widths > 0]))
