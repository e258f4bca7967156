"""Compare two curves of a few points each where both are known: at equal abscissa."""

import numpy as np
from jaxtyping import Float


def mean_difference(
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    other_x: Float[np.ndarray, " others"],
    other_y: Float[np.ndarray, " others"],
) -> tuple[float, float, float]:
    """Average the vertical distance of two piecewise linear curves.

    (1 / (b - a)) ∫ₐᵇ (y(x) - y'(x)) dx over the range [a, b] that both have, exactly;
    where that is one place, the distance there. Nothing is extrapolated.

    Parameters
    ----------
    x, y
        Points of one curve, shape (points,), in any order.
    other_x, other_y
        Points of the other, shape (others,).

    Returns
    -------
    difference, low, high : float
        And the range [a, b]. All NaN if there is none, or a number is not finite.

    Examples
    --------
    >>> line = np.array([0.0, 2.0])
    >>> mean_difference(line, line, np.array([1.0, 3.0]), np.zeros(2))
    (1.5, 1.0, 2.0)
    """
    none = (float("nan"), float("nan"), float("nan"))
    if not len(x) or not len(other_x):
        return none
    if not all(np.isfinite(each).all() for each in (x, y, other_x, other_y)):
        return none
    low, high = max(x.min(), other_x.min()), min(x.max(), other_x.max())
    if low > high:
        return none
    both = np.concatenate([x, other_x])
    knots = np.unique([low, high, *both[(both > low) & (both < high)]])
    gap = _at(knots, x, y) - _at(knots, other_x, other_y)
    mean = np.trapezoid(gap, knots) / (high - low) if high > low else gap[0]
    return float(mean), float(low), float(high)


def _at(
    places: Float[np.ndarray, " places"],
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
) -> Float[np.ndarray, " places"]:
    order = np.argsort(x, kind="stable")
    return np.interp(places, x[order], y[order])
