"""Share of the images for which a Taylor sum holds, against sparsity."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from prefiqs_jax.plots.labels import SPARSITY, achieved
from prefiqs_jax.plots.shared import aside, floats, legend_above, nothing_moved
from prefiqs_jax.plots.theme import GREY, LINES, look

if TYPE_CHECKING:
    import pandas as pd


def held_against_sparsity(
    ax: Axes, table: "pd.DataFrame", quantities: Mapping[str, str]
) -> Axes:
    """Draw the share of images within the tolerance, with intervals.

    Parameters
    ----------
    ax
        Axes to draw on.
    table
        Of :func:`prefiqs_jax.statistics.held_shares`.
    quantities
        Which of its quantities, to their labels; those that it lacks are left out.
    """
    tolerance = table["tolerance"].iloc[0]
    ax.set(xlabel=SPARSITY, ylabel=f"images within {100 * tolerance:g} %")
    known = table.loc[table["share"].notna()]
    if not len(known):
        return nothing_moved(ax)
    drawn = [name for name in quantities if name in set(known["quantity"])]
    levels = np.unique(known["sparsity"].to_numpy(np.float64))
    ax.axhline(0.95, color=GREY, lw=0.7, ls=(0, (5, 2)), zorder=1)
    for place, name in enumerate(drawn):
        chosen = known.loc[known["quantity"] == name].sort_values("sparsity")
        share, low, high = floats(chosen, "share", "low", "high")
        at = achieved(chosen) + aside(levels, place, len(drawn))
        style = look(place)
        ax.vlines(at, low, high, color=style["color"], lw=1)
        ax.plot(at, share, ls=LINES[place], label=quantities[name], **style)
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    words = f"n = {known['images'].max()} images; dashed: 95 %"
    ax.text(0.99, 0.06, words, fontsize=7, ha="right", transform=ax.transAxes)
    legend_above(ax, columns=len(drawn))
    return ax
