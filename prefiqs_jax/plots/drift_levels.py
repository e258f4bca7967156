"""First order, drift and residual beside each other at every sparsity."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from prefiqs_jax.plots.labels import SPARSITY, achieved, level_tick
from prefiqs_jax.plots.run_figure import RunFigure
from prefiqs_jax.plots.shared import floats, legend_above, nothing_moved
from prefiqs_jax.plots.theme import look

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = {
    "first_order": r"first order $\|J\delta\|$",
    "drift": r"drift $\|\Delta z\|$",
    "residual": r"residual $\|\Delta z-J\delta\|$",
}
_MOST_TICKS = 12


def drift_beside_first_order(ax: Axes, quantiles: "pd.DataFrame") -> Axes:
    """Draw median, quartiles and 5-95 % range of three distances at each sparsity.

    Parameters
    ----------
    ax
        Axes to draw on; its vertical axis becomes logarithmic.
    quantiles
        Table of :func:`prefiqs_jax.statistics.quantiles` of one network and mask, with
        the quantities first_order, drift and residual. What is zero has no place on a
        log axis and is left out.
    """
    kept = quantiles.loc[quantiles["quantity"].isin(list(_SHOWN))]
    kept = kept.loc[kept["q05"] > 0].sort_values("sparsity")
    ax.set(xlabel=SPARSITY, ylabel="distance (no unit)")
    if not len(kept):
        return nothing_moved(ax)
    levels = np.unique(kept["sparsity"].to_numpy(np.float64))
    for place, (quantity, label) in enumerate(_SHOWN.items()):
        chosen = kept.loc[kept["quantity"] == quantity]
        at = np.searchsorted(levels, chosen["sparsity"].to_numpy(np.float64))
        at = at + 0.26 * (place - 1)
        low, first, middle, third, high = floats(
            chosen, "q05", "q25", "q50", "q75", "q95"
        )
        style = look(place)
        ax.vlines(at, low, high, color=style["color"], lw=0.9)
        ax.vlines(at, first, third, color=style["color"], lw=3.2, alpha=0.55)
        marks = {"ls": "", "ms": 3.2, "mec": "white", "mew": 0.4}
        ax.plot(at, middle, label=label, **style, **marks)
    for edge in np.arange(len(levels) - 1) + 0.5:
        ax.axvline(edge, color="0.9", lw=0.6, zorder=0)
    reached = dict(zip(kept["sparsity"], achieved(kept), strict=True))
    ticks = [level_tick(one, reached[one]) for one in levels]
    ax.set_xticks(range(len(levels)), ticks)
    ax.tick_params(axis="x", length=0, labelrotation=90 * (len(levels) > _MOST_TICKS))
    ax.set(xlim=(-0.6, len(levels) - 0.4), yscale="log")
    legend_above(ax, columns=3)
    return ax


FIGURE = RunFigure(
    drift_beside_first_order,
    table="quantiles",
    title="Drift beside first order",
    caption="Marks are medians over the images, thick bars the quartiles, thin ones "
    "the 5th to 95th percentile. The first order can be as long as the drift and still "
    "miss it: the residual takes the direction in.",
    alt="Medians and percentiles of first order, drift and residual on a logarithmic "
    "axis, at every sparsity.",
    of_changes=True,
)
