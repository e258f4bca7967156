"""Each statistic against sparsity, with its interval, for one run or several."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import IDEAL, SPARSITY, STATISTICS, achieved, plain
from prefiqs_jax.plots.shared import (
    aside,
    curve_with_intervals,
    few_ticks,
    floats,
    legend_above,
    panels,
)
from prefiqs_jax.plots.theme import GREY

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = 2
_BOUNDED = ("spearman", "kendall", "pearson", "mean_cosine")
_ERRORS = ("median_relative_residual", "median_norm_error")


def statistic_against_sparsity(
    ax: Axes,
    table: "pd.DataFrame",
    statistic: str,
    *,
    label: str | None = None,
    style: int = 0,
    shift: float = 0.0,
) -> Axes:
    """Draw one statistic of one run over the achieved sparsity, with its interval.

    Parameters
    ----------
    ax
        Axes to draw on; call again on the same axes for another run, or statistic.
    table
        Summary table of one network and mask.
    statistic
        One of its statistics.
    label
        Name in a legend.
    style
        Number of the line: its colour, marker and dashes.
    shift
        Added to the sparsity, so that intervals do not hide each other.
    """
    chosen = table.loc[table["statistic"] == statistic]
    curve_with_intervals(ax, chosen, place=style, shift=shift, label=label)
    return ax


def agreement_panels(
    figure: Figure, tables: Sequence["pd.DataFrame"], labels: Sequence[str] = ()
) -> Figure:
    """Fill a figure with every statistic against sparsity.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit.
    tables
        One summary table per run. Of one run, correlations share a panel, and so do
        errors; of several, each statistic has its own, and correlations one axis.
    labels
        Names of the runs, if there are two or more.
    """
    if len(tables) == 1:
        return _of_one_run(figure, tables[0])
    lines = -(-len(STATISTICS) // _COLUMNS)
    figure.set_figheight(1.5 * lines + 0.3 + 0.2 * len(tables))
    axes = panels(figure, len(STATISTICS), _COLUMNS, sharex=True)
    for ax in axes[-_COLUMNS:]:
        # With nothing below it, a panel needs the ticks of its column.
        ax.tick_params(labelbottom=True)
    for ax, statistic in zip(axes, STATISTICS, strict=True):
        ax.axhline(IDEAL[statistic], color=GREY, lw=0.8, ls="--", zorder=1)
        for i, table in enumerate(tables):
            label = plain(labels[i]) if labels else None
            statistic_against_sparsity(ax, table, statistic, label=label, style=i)
        ax.set_ylabel(STATISTICS[statistic])
        few_ticks(ax.yaxis)
        if statistic in _BOUNDED:
            _bounded(ax, *tables)
    figure.supxlabel(SPARSITY)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center")
    return figure


def _of_one_run(figure: Figure, table: "pd.DataFrame") -> Figure:
    width = figure.get_figwidth()
    figure.set_figheight(1.15 * width)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.35, 1))
    levels = np.unique(table["sparsity"].to_numpy(np.float64))
    for ax, names in ((upper, _BOUNDED), (lower, _ERRORS)):
        ax.axhline(IDEAL[names[0]], color=GREY, lw=0.8, ls="--", zorder=1)
        for place, name in enumerate(names):
            shift = aside(levels, place, len(names))
            ends = {"label": STATISTICS[name], "style": place, "shift": shift}
            statistic_against_sparsity(ax, table, name, **ends)
        legend_above(ax)
    _bounded(upper, table)
    upper.set_ylabel("correlation, cosine")
    lower.set_ylim(0, None)
    lower.set(xlabel=SPARSITY, ylabel="relative error")
    images = table["images"].max()
    upper.text(
        0.01, 0.02, f"n = {images} images", fontsize=7, transform=upper.transAxes
    )
    return figure


def _bounded(ax: Axes, *tables: "pd.DataFrame") -> None:
    """Give axes of correlations the range 0 to 1, or -1 to 1 if any is negative."""
    lowest = min(
        table.loc[table["statistic"].isin(list(_BOUNDED)), "value"].min()
        for table in tables
    )
    is_negative = lowest < 0
    ax.set_ylim(-1.03 if is_negative else -0.03, 1.03)
    ax.set_yticks([-1, -0.5, 0, 0.5, 1] if is_negative else [0, 0.25, 0.5, 0.75, 1])


def strata_panels(
    figure: Figure, pooled: "pd.DataFrame", strata: "pd.DataFrame"
) -> Figure:
    """Fill a figure with relative residual and Spearman over sparsity, by stratum.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit.
    pooled
        Summary table over all images: in grey.
    strata
        Table of :func:`prefiqs_jax.statistics.within_strata`, of one column.
    """
    figure.set_figheight(1.15 * figure.get_figwidth())
    upper, lower = figure.subplots(2, 1, sharex=True)
    tables: Mapping[str, pd.DataFrame] = {
        str(name): part for name, part in strata.groupby("stratum", sort=False)
    }
    levels = np.unique(pooled["sparsity"].to_numpy(np.float64))
    for ax, statistic in ((upper, "median_relative_residual"), (lower, "spearman")):
        ax.axhline(IDEAL[statistic], color=GREY, lw=0.8, ls="--", zorder=1)
        chosen = pooled.loc[pooled["statistic"] == statistic].sort_values("sparsity")
        value = floats(chosen, "value")[0]
        label = f"all, n = {chosen['images'].max()}"
        ax.plot(achieved(chosen), value, color="0.6", lw=2.5, zorder=0, label=label)
        for place, (name, table) in enumerate(tables.items()):
            count = table["images"].max()
            ends = {"label": f"{plain(name)}, n = {count}", "style": place}
            shift = aside(levels, place, len(tables))
            statistic_against_sparsity(ax, table, statistic, shift=shift, **ends)
        ax.set_ylabel(STATISTICS[statistic])
    upper.set_ylim(0, None)
    _bounded(lower, pooled, strata)
    lower.set_xlabel(SPARSITY)
    handles, names = lower.get_legend_handles_labels()
    title = str(strata["strata"].iloc[0])
    where = {"loc": "outside upper center", "ncols": 2}
    figure.legend(handles, names, title=plain(title), **where)
    return figure
