"""Detection error trade-off curves: FNMR over FMR, one line per network or quality."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.scale import FuncScale
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import DET
from prefiqs_jax.plots.labels import plain
from prefiqs_jax.plots.shared import legend_above, note
from prefiqs_jax.plots.theme import CYCLE, GREY, LINES

# More than a page has dots would only make a large file.
_MOST_CELLS = 1500
# Names that are longer have a line of the legend each.
_WIDE_NAME = 16
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


def det_panel(ax: Axes, curves: Mapping[str, DET]) -> Axes:
    """Draw FNMR over FMR, lower left is better, and where the two are equal.

    Both axes are probit: similarities of normal distribution give straight lines. They
    run from the finest rate that comparisons resolve, one over their number, to 0.5.

    Parameters
    ----------
    ax
        Axes to draw on.
    curves
        Curves of :func:`prefiqs_jax.fiqa.det` by name: of several networks, say, or of
        the comparisons that several qualities leave.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a legend above it. A rate of 0 has no place on the scale: a
        curve ends at one over the number of comparisons, and one that has no point with
        both rates above 0 is named in the axes instead.

    Raises
    ------
    InputError
        If there are no curves.

    References
    ----------
    Martin, Doddington, Kamm, Ordowski & Przybocki (1997). The DET curve in assessment
    of detection task performance. Eurospeech.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from prefiqs_jax.fiqa import det
    >>> curve = det([0.9, 0.4, 0.5, 0.1], [1, 1, 0, 0])
    >>> det_panel(Figure().add_subplot(), {"one": curve}).get_xlabel()
    'false match rate (FMR)'
    """
    if not curves:
        message = "no curves to draw; give at least one"
        raise InputError(message)
    for axis, set_scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        set_scale(FuncScale(axis, functions=(_probit, ndtr)))
        axis.set_major_locator(FixedLocator(_TICKS))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_tick))
    absent = []
    for place, (name, curve) in enumerate(curves.items()):
        x, y = det_points(curve)
        if len(x) == 0:
            absent.append(name)
            continue
        ax.plot(
            x,
            y,
            # One point makes no line.
            marker="o" if len(x) == 1 else "",
            color=CYCLE[place % len(CYCLE)],
            ls=LINES[place % len(LINES)],
            label=plain(name),
        )
    if absent:
        words = ":\nno threshold has errors of both kinds,\nso there is no curve"
        note(ax, ", ".join(absent) + words)
    finest_x = min(1 / max(curve.non_mated_count for curve in curves.values()), 0.25)
    finest_y = min(1 / max(curve.mated_count for curve in curves.values()), 0.25)
    line = np.geomspace(max(finest_x, finest_y), 0.5, 200)
    ax.plot(line, line, color=GREY, lw=0.6, ls=(0, (1, 2)), label="FMR = FNMR")
    ax.set(xlim=(finest_x, 0.5), ylim=(finest_y, 0.5))
    ax.set(xlabel="false match rate (FMR)", ylabel="false non-match rate (FNMR)")
    ax.grid(color="0.9", lw=0.4)
    legend_above(ax, 2 if max(map(len, curves)) <= _WIDE_NAME else 1)
    return ax


def _probit(rate: ArrayLike) -> NDArray[np.float64]:
    # Matplotlib asks for values beyond the ends while it lays out.
    return ndtri(np.clip(rate, 1e-12, 1 - 1e-12))


def _tick(value: float, _: int | None = None) -> str:
    """Write a rate as a number, or a power of ten where it is small.

    >>> _tick(0.05), _tick(1e-4)
    ('0.05', '$10^{-4}$')
    """
    if value < 9e-3:
        return f"$10^{{{round(np.log10(value))}}}$"
    return f"{value:g}"


def det_points(curve: DET) -> tuple[np.ndarray, np.ndarray]:
    """Give FMR and FNMR of the points that are drawn.

    Without rates that have no place on the axes, and points that share a dot of the
    page.
    """
    inside = (curve.fmr > 0) & (curve.fnmr > 0) & (curve.fmr < 1) & (curve.fnmr < 1)
    x, y = curve.fmr[inside], curve.fnmr[inside]
    if len(x) <= _MOST_CELLS:
        return x, y
    place = _probit(x)
    cell = np.floor(_MOST_CELLS * (place - place.min()) / np.ptp(place))
    # The first and last of each cell: rates are monotone, so the envelope stays.
    is_end = np.ones(len(x), np.bool_)
    is_end[1:-1] = (cell[1:-1] != cell[:-2]) | (cell[1:-1] != cell[2:])
    return x[is_end], y[is_end]
