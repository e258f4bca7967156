"""First order, drift and residual beside each other at every sparsity."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from prefiqs_jax.plots.alt import ends_of_each
from prefiqs_jax.plots.labels import achieved, level_label
from prefiqs_jax.plots.run_figure import RunFigure
from prefiqs_jax.plots.shared import floats, legend_above, nothing_moved
from prefiqs_jax.plots.theme import GREY, look

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = {
    "first_order": r"first order $\|J\delta\|$",
    "drift": r"drift $\|\Delta z\|$",
    "residual": r"residual $\|\Delta z-J\delta\|$",
}
_MOST_UPRIGHT = 6
"""Sparsities whose labels have room side by side."""


def drift_beside_first_order(ax: Axes, quantiles: "pd.DataFrame") -> Axes:
    """Draw median, quartiles and 5-95 % range of three distances at each sparsity.

    All are over the median drift of that sparsity, so that their spread is seen, which
    is small beside the growth of drift with sparsity.

    Parameters
    ----------
    ax
        Axes to draw on.
    quantiles
        Table of :func:`prefiqs_jax.statistics.quantiles` of one network and mask, with
        the quantities first_order, drift and residual.
    """
    drift = quantiles.loc[(quantiles["quantity"] == "drift") & (quantiles["q50"] > 0)]
    drift = drift.sort_values("sparsity")
    ax.set(xlabel="sparsity, and median drift", ylabel="distance / median drift")
    if not len(drift):
        return nothing_moved(ax)
    levels, median = floats(drift, "sparsity", "q50")
    for place, (quantity, label) in enumerate(_SHOWN.items()):
        chosen = quantiles.loc[quantiles["quantity"] == quantity]
        chosen = chosen.set_index("sparsity").loc[levels]
        at = np.arange(len(levels)) + 0.27 * (place - 1)
        low, first, middle, third, high = (
            each / median for each in floats(chosen, "q05", "q25", "q50", "q75", "q95")
        )
        style = look(place)
        ax.vlines(at, low, high, color=style["color"], lw=0.9)
        ax.vlines(at, first, third, color=style["color"], lw=5, alpha=0.4)
        ax.plot(at, middle, label=label, ls="", ms=3, **style)
    ax.axhline(1, color=GREY, lw=0.7, ls="--", zorder=0)
    for edge in np.arange(len(levels) - 1) + 0.5:
        ax.axvline(edge, color="0.9", lw=0.6, zorder=0)
    upright = len(levels) <= _MOST_UPRIGHT
    ticks = [
        level_label(sparsity, reached) + ("\n" if upright else ":  ") + f"{middle:.2g}"
        for sparsity, reached, middle in zip(
            levels, achieved(drift), median, strict=True
        )
    ]
    ax.set_xticks(range(len(levels)), ticks)
    ax.tick_params(axis="x", length=0, labelrotation=0 if upright else 90)
    ax.set(xlim=(-0.6, len(levels) - 0.4), ylim=(0, None))
    legend_above(ax, columns=3)
    return ax


_NAMES = [(name, name.replace("_", " ")) for name in ("first_order", "drift")]
_NAMES.append(("residual", "residual"))

FIGURE = RunFigure(
    drift_beside_first_order,
    table="quantiles",
    title="Drift beside first order",
    caption="Distances over the median drift at that sparsity, which stands below it. "
    "Marks are medians over the images, thick bars the quartiles, thin ones the 5th to "
    "95th percentile. The first order can be as long as the drift and still miss it: "
    "the residual takes the direction in.",
    alt=lambda table: (
        f"Medians over the images. {ends_of_each(table, 'quantity', 'q50', _NAMES)}"
    ),
    of_changes=True,
)
