"""Numbers read off an error-versus-discard curve: its area, its value at a fraction."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.edc import EDC
from prefiqs_jax.fiqa.protocol import check_choice

# The published grid has 0.15000000000000002 for 0.15; comparisons are far coarser.
_ROUNDING = 1e-12

Normalise = Literal["none", "range", "start"]


def pauc(
    curve: EDC, *, max_discard: float = 0.3, normalise: Normalise = "none"
) -> float:
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
        information has 1.

    Returns
    -------
    float
        The area, lower = better; never compare one normalisation with another.

    Raises
    ------
    InputError
        If the limit is outside (0, 1] or beyond the curve, no mated comparison is left
        on the way to it, the normalisation is unknown, or it divides by an FNMR of 0.

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
    check_choice("normalise", normalise, list(get_args(Normalise)))
    if not 0 < max_discard <= 1:
        message = f"max_discard={max_discard} is outside (0, 1]: it is a fraction"
        raise InputError(message)
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
    linear = curve.switches.interpolation == "linear"
    heights = (y[1:] + y[:-1]) / 2 if linear else y[:-1]
    area = float(np.sum(heights * np.diff(x)))
    if normalise == "none":
        return area
    if normalise == "range":
        return area / max_discard
    if curve.fnmr[0] == 0:
        message = (
            "the FNMR before any discard is 0, so no area is relative to it; use "
            'normalise="range" or a lower fmr'
        )
        raise InputError(message)
    return area / (max_discard * float(curve.fnmr[0]))


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
    if not 0 <= fraction <= 1 or fraction > last + _ROUNDING:
        message = (
            f"discard fraction {fraction} is outside 0 to {last:g}, where this "
            f"{curve.protocol} curve lies"
        )
        raise InputError(message)
    return float(_read(curve, np.array([fraction]))[0])


def best_fnmr_after_discard(
    start_fnmr: float, fraction: ArrayLike
) -> NDArray[np.float64]:
    """Give the lowest FNMR that any quality reaches: errors go first.

    FNMR = max(0, (start_fnmr - fraction) / (1 - fraction))

    Parameters
    ----------
    start_fnmr
        FNMR before any discard.
    fraction
        Fraction of the *mated comparisons* discarded, in [0, 1).

    Returns
    -------
    ndarray
        Shape of ``fraction``. For protocols that discard mated comparisons at a fixed
        threshold, such as "fiqat".

    Examples
    --------
    >>> best_fnmr_after_discard(0.2, [0.0, 0.1, 0.2, 0.3]).round(3)
    array([0.2  , 0.111, 0.   , 0.   ])
    """
    gone = np.asarray(fraction, np.float64)
    return np.maximum(0, (start_fnmr - gone) / (1 - gone))


def _read(curve: EDC, fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = curve.discard_fraction, curve.fnmr
    place = np.searchsorted(x, fraction + _ROUNDING, side="right") - 1
    if curve.switches.interpolation == "step":
        return y[place]
    after = np.minimum(place + 1, len(x) - 1)
    width = np.where(after > place, x[after] - x[place], 1)
    share = np.maximum(fraction - x[place], 0) / width
    # On a point its neighbour does not matter, which may be NaN.
    on_point = share * width <= _ROUNDING
    return np.where(on_point, y[place], y[place] + share * (y[after] - y[place]))
