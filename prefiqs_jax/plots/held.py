"""Share of the images for which a Taylor sum holds, against sparsity."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from prefiqs_jax.plots.labels import SPARSITY
from prefiqs_jax.plots.shared import legend_above, nothing_moved, quantity_curves
from prefiqs_jax.plots.theme import GREY

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
    ax.axhline(0.95, color=GREY, lw=0.7, ls=(0, (5, 2)), zorder=1)
    drawn = quantity_curves(ax, known, quantities, "share")
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    words = f"n = {known['images'].max()} images; dashed: 95 %"
    ax.text(0.99, 0.06, words, fontsize=7, ha="right", transform=ax.transAxes)
    legend_above(ax, columns=drawn)
    return ax
