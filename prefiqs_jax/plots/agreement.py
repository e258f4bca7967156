"""Each statistic against sparsity, with its interval, for one run or several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prefiqs_jax.plots.labels import IDEAL, SPARSITY, STATISTICS, achieved, plain
from prefiqs_jax.plots.theme import CYCLE, GREY, MARKERS

if TYPE_CHECKING:
    import pandas as pd


def statistic_against_sparsity(
    ax: Axes,
    table: "pd.DataFrame",
    statistic: str,
    *,
    label: str | None = None,
    style: int = 0,
) -> Axes:
    """Draw one statistic of one run over the achieved sparsity, with its interval.

    Parameters
    ----------
    ax
        Axes to draw on; call again on the same axes for another run.
    table
        Summary table of one network and mask.
    statistic
        One of its statistics.
    label
        Name of the run in a legend.
    style
        Number of the run: its colour and marker.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes.
    """
    chosen = table.loc[table["statistic"] == statistic].sort_values("sparsity")
    sparsity = achieved(chosen)
    value, low, high = (
        chosen[name].to_numpy(np.float64) for name in ("value", "low", "high")
    )
    color = CYCLE[style % len(CYCLE)]
    marker = MARKERS[(style + style // len(CYCLE)) % len(MARKERS)]
    ax.fill_between(sparsity, low, high, color=color, alpha=0.25, lw=0)
    # A band needs two neighbours; whiskers show the interval of a lone sparsity too.
    ax.vlines(sparsity, low, high, color=color, lw=0.8, alpha=0.8)
    ax.plot(sparsity, value, marker=marker, color=color, label=label)
    ax.set_ylabel(STATISTICS[statistic])
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    return ax


def agreement_panels(
    figure: Figure,
    tables: Sequence["pd.DataFrame"],
    labels: Sequence[str] = (),
    *,
    columns: int = 4,
) -> Figure:
    """Fill a figure with panels: every statistic against sparsity.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit, its width stays.
    tables
        One summary table per run.
    labels
        Names of the runs; a legend appears if there are two or more.
    columns
        Panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
        The same figure.
    """
    lines = -(-len(STATISTICS) // columns)
    # A line of the legend per two names, so that long ones fit.
    legend_lines = -(-len(tables) // 2) if len(tables) > 1 else 0
    height = 1.7 * lines + 0.3 + 0.2 * legend_lines
    figure.set_figheight(height)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
    for place in range(len(STATISTICS), grid.size):
        grid.ravel()[place].remove()
        # With nothing below it, the panel above needs the ticks of its column.
        grid.ravel()[place - columns].tick_params(labelbottom=True)
    for ax, statistic in zip(grid.ravel(), STATISTICS, strict=False):
        ax.axhline(IDEAL[statistic], color=GREY, lw=0.8, ls="--", zorder=1)
        for i, table in enumerate(tables):
            label = plain(labels[i]) if labels else None
            statistic_against_sparsity(ax, table, statistic, label=label, style=i)
    figure.supxlabel(SPARSITY, fontsize=8)
    if legend_lines:
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2)
    return figure
