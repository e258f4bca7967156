"""Each statistic against sparsity, with its interval, for one run or several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import IDEAL, SPARSITY, STATISTICS, achieved, plain
from prefiqs_jax.plots.shared import few_ticks, floats, line_with_band, panels
from prefiqs_jax.plots.theme import GREY, look

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = 4


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
    """
    chosen = table.loc[table["statistic"] == statistic].sort_values("sparsity")
    values = floats(chosen, "value", "low", "high")
    line_with_band(
        ax, achieved(chosen), *values, whiskers=True, label=label, **look(style)
    )
    ax.set_ylabel(STATISTICS[statistic])
    few_ticks(ax.yaxis)
    return ax


def agreement_panels(
    figure: Figure, tables: Sequence["pd.DataFrame"], labels: Sequence[str] = ()
) -> Figure:
    """Fill a figure with panels: every statistic against sparsity.

    Parameters
    ----------
    figure
        Empty figure.
    tables
        One summary table per run.
    labels
        Names of the runs; a legend appears if there are two or more.
    """
    lines = -(-len(STATISTICS) // _COLUMNS)
    # A line of the legend per two names, so that long ones fit.
    legend_lines = -(-len(tables) // 2) if len(tables) > 1 else 0
    figure.set_figheight(1.7 * lines + 0.3 + 0.2 * legend_lines)
    axes = panels(figure, len(STATISTICS), _COLUMNS, sharex=True)
    for ax in axes[-_COLUMNS:]:
        # With nothing below it, a panel needs the ticks of its column.
        ax.tick_params(labelbottom=True)
    for ax, statistic in zip(axes, STATISTICS, strict=True):
        ax.axhline(IDEAL[statistic], color=GREY, lw=0.8, ls="--", zorder=1)
        for i, table in enumerate(tables):
            label = plain(labels[i]) if labels else None
            statistic_against_sparsity(ax, table, statistic, label=label, style=i)
    figure.supxlabel(SPARSITY)
    if legend_lines:
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2)
    return figure
