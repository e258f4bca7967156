"""What several figures share: panels, lines with intervals, ticks, legends, notes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import FigureBase
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from prefiqs_jax.plots.labels import achieved, plain
from prefiqs_jax.plots.theme import LINES, look

if TYPE_CHECKING:
    import pandas as pd


def floats(table: "pd.DataFrame", *names: str) -> list[NDArray[np.float64]]:
    """Give columns of a table as arrays."""
    return [table[name].to_numpy(np.float64) for name in names]


def panels(
    figure: FigureBase, count: int, columns: int, **shared: Any
) -> NDArray[np.object_]:
    """Add axes line by line; places that are left over in the last line stay empty."""
    lines = -(-count // columns)
    axes = figure.subplots(lines, columns, squeeze=False, **shared).ravel()
    for ax in axes[count:]:
        ax.remove()
    return axes[:count]


def line_with_band(
    ax: Axes,
    x: NDArray[np.float64],
    value: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    color: Any,
    alpha: float = 0.25,
    whiskers: bool = False,
    **look: Any,
) -> None:
    """Draw a line over its band; all arrays have the shape (points,).

    Whiskers show the interval of a lone point too, where a band needs two neighbours.
    """
    ax.fill_between(x, low, high, color=color, alpha=alpha, lw=0)
    if whiskers:
        ax.vlines(x, low, high, color=color, lw=0.8, alpha=0.8)
    ax.plot(x, value, color=color, **look)


def aside(levels: NDArray[np.float64], place: int, count: int) -> float:
    """Give by how much to move a line sideways, so that its intervals are seen.

    >>> [round(aside(np.array([0.1, 0.9]), place, 3), 3) for place in range(3)]
    [-0.008, 0.0, 0.008]
    """
    steps = np.diff(levels)
    width = min(0.01 * np.ptp(levels), 0.2 * steps.min()) if len(steps) else 0.01
    return float(width * (place - (count - 1) / 2))


def curve_with_intervals(
    ax: Axes,
    table: "pd.DataFrame",
    column: str = "value",
    *,
    place: int = 0,
    shift: float = 0.0,
    **style: Any,
) -> None:
    """Draw a column of a table over the achieved sparsity, with its intervals.

    The place is the number of the curve: its colour, marker and dashes; the shift is
    added to the sparsity. Anything else is handed to ``plot``.
    """
    chosen = table.sort_values("sparsity")
    value, low, high = floats(chosen, column, "low", "high")
    at, own = achieved(chosen) + shift, look(place)
    ax.vlines(at, low, high, color=own["color"], lw=1)
    ax.plot(at, value, **{"ls": LINES[place % len(LINES)], **own, **style})


def quantity_curves(
    ax: Axes, table: "pd.DataFrame", quantities: Mapping[str, str], column: str
) -> int:
    """Draw such a curve for each quantity that the table has; return their number.

    Quantities are values of its column quantity, to their labels.
    """
    drawn = [name for name in quantities if name in set(table["quantity"])]
    levels = np.unique(table["sparsity"].to_numpy(np.float64))
    for place, name in enumerate(drawn):
        curve_with_intervals(
            ax,
            table.loc[table["quantity"] == name],
            column,
            place=place,
            shift=aside(levels, place, len(drawn)),
            label=quantities[name],
        )
    return len(drawn)


def plain_log(axis: Axis) -> None:
    """Write numbers as they are on a logarithmic axis: 1, 2 and 5 times powers of ten.

    Less than a decade has equal steps. Call it when all is drawn.
    """
    low, high = axis.get_view_interval()
    if high > 10 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    else:
        few_ticks(axis, 8)
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def few_ticks(axis: Axis, count: int = 5) -> None:
    """Put at most so many round numbers, and one more, on an axis."""
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))


def legend_above(ax: Axes, columns: int = 2) -> None:
    """Put the legend above the axes: within them no place is free of every curve."""
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    ax.legend(**place, ncols=columns, handlelength=3)


def note(ax: Axes, words: str) -> Text:
    """Write words in the middle of the axes, in front of what is drawn there.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> note(Figure().add_subplot(), "no errors").get_text()
    'no errors'
    """
    box = {"fc": "white", "ec": "0.6", "lw": 0.5, "alpha": 0.85}
    middle: Any = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    return ax.text(0.5, 0.5, plain(words), fontsize=7, zorder=5, bbox=box, **middle)


def nothing_moved(ax: Axes) -> Axes:
    """Say on empty axes that every change is rounding; return the same axes."""
    ax.set(xticks=[], yticks=[])
    note(ax, "no change above rounding")
    return ax
