"""Drift against first order, image by image: all sparsities on one panel."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from prefiqs_jax.plots.labels import QUANTITIES, achieved, level_label
from prefiqs_jax.plots.shared import floats
from prefiqs_jax.plots.theme import DENSITY_MAP, MARKERS

if TYPE_CHECKING:
    import pandas as pd

_RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 5, 10, 20, 50)
_MOST_POINTS = 5000
"""Of one sparsity; of more, those that share a dot of the page are drawn once."""
_CELL = 0.01
"""One percent, of the axis and of the ratio: less than the width of a dot."""
_BRIGHTEST = 0.88
"""Of the colour map: brighter ones, white paper hides."""


def drift_scatter(
    figure: Figure,
    rows: "pd.DataFrame",
    *,
    degraded: Bool[np.ndarray, " rows"] | None = None,
) -> Figure:
    """Fill a figure with drift over first order, and with their ratio below it.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit.
    rows
        Columns sparsity, first_order, drift and perhaps achieved_sparsity, of one
        network and mask. What is zero has no place on a log axis and is left out.
    degraded
        Shape (rows,): whether the row's image is degraded, and its point hollow; None =
        not known.

    Returns
    -------
    matplotlib.figure.Figure
        The same, with logarithmic axes; the upper panel has the same on both, and the
        line on which the first order is as long as the drift.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"sparsity": 0.3, "first_order": [0.1], "drift": [0.2]})
    >>> upper, lower = drift_scatter(Figure(), rows).axes
    >>> upper.get_xscale(), lower.get_yscale()
    ('log', 'log')
    """
    is_kept = ((rows["first_order"] > 0) & (rows["drift"] > 0)).to_numpy()
    kept = rows.loc[is_kept]
    width = figure.get_figwidth()
    figure.set_figheight(1.12 * width)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.3, 1))
    is_degraded = np.zeros(len(kept), bool) if degraded is None else degraded[is_kept]
    levels = np.unique(kept["sparsity"].to_numpy(np.float64))
    size = float(np.clip(900 / np.sqrt(max(len(kept), 1)), 3, 14))
    handles = []
    for place, level in enumerate(levels):
        share = place / max(1, len(levels) - 1)
        color = colormaps[DENSITY_MAP](_BRIGHTEST * share)
        marker = MARKERS[place % len(MARKERS)]
        at = (kept["sparsity"] == level).to_numpy()
        for hollow in (True, False):
            chosen = kept.loc[at & (is_degraded == hollow)]
            first_order, drift = thinned(*floats(chosen, "first_order", "drift"))
            style: dict[str, Any] = {"marker": marker, "s": size, "rasterized": True}
            style |= {"facecolors": "none" if hollow else color, "alpha": 0.7}
            style |= {"edgecolors": color if hollow else "none", "linewidths": 0.5}
            upper.scatter(first_order, drift, **style)
            lower.scatter(first_order, drift / first_order, **style)
        label = level_label(level, float(achieved(kept.loc[at])[0]))
        line = {"ls": "", "marker": marker, "color": color, "ms": 4}
        handles.append(Line2D([], [], label=label.replace(" (", "\n("), **line))
    _frame(upper, lower, kept)
    if is_degraded.any():
        for label, fill in (("clean", "0.35"), ("degraded", "none")):
            look = {"ls": "", "marker": "o", "color": "0.35", "mfc": fill, "ms": 4}
            handles.append(Line2D([], [], label=label, **look))
    figure.legend(
        handles=handles,
        title="sparsity",
        loc="outside right upper",
        handletextpad=0.2,
        labelspacing=0.35,
    )
    return figure


def thinned(
    first_order: NDArray[np.float64], drift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out points that share a dot of the page with another.

    >>> [len(each) for each in thinned(np.ones(30_000), np.ones(30_000))]
    [1, 1]
    """
    if len(drift) <= _MOST_POINTS:
        return first_order, drift
    # The ratio's axis is the finer one.
    both = np.stack([np.log(first_order), np.log(drift / first_order)])
    cells = np.floor(both / _CELL).astype(np.int64)
    cells -= cells.min(axis=1, keepdims=True)
    place = cells[0] * (cells[1].max() + 1) + cells[1]
    first = np.unique(place, return_index=True)[1]
    return first_order[first], drift[first]


def _frame(upper: Axes, lower: Axes, kept: "pd.DataFrame") -> None:
    first_order, drift = floats(kept, "first_order", "drift")
    both = np.concatenate([first_order, drift])
    ends = both.min() / 1.3, both.max() * 1.3
    # Over the points, with a white rim, to be seen in large runs, too.
    rim = withStroke(linewidth=2, foreground="white", alpha=0.8)
    line: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": "--"}
    line |= {"path_effects": [rim], "zorder": 3}
    upper.plot(ends, ends, **line)
    upper.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    images = kept["image"].nunique() if "image" in kept else len(kept)
    words = f"n = {images} images; dashed: as long as predicted"
    upper.set_title(words, fontsize=7, loc="left")
    upper.set_ylabel(QUANTITIES["drift"])
    lower.axhline(1, **line)
    ratio = drift / first_order
    low, high = min(0.8, ratio.min() / 1.05), max(1.25, ratio.max() * 1.05)
    lower.set(yscale="log", ylim=(low, high), ylabel="drift / first order")
    ticks = [one for one in _RATIOS if low <= one <= high]
    if len(ticks) > 6:
        ticks = [one for one in ticks if one not in (0.67, 0.8, 1.25, 1.5)]
    lower.yaxis.set_major_locator(FixedLocator(ticks))
    lower.yaxis.set_minor_locator(NullLocator())
    lower.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    lower.yaxis.set_minor_formatter(NullFormatter())
    lower.set_xlabel(QUANTITIES["first_order"])
