"""Values and areas of a curve that is given as points, with lines or steps between."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# The published grid has 0.15000000000000002 for 0.15; comparisons are far coarser.
ROUNDING = 1e-12


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
