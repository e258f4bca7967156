"""How optimised labels change the area under an error-versus-discard curve."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.labels import plain
from prefiqs_jax.plots.shared import few_ticks, floats, panels
from prefiqs_jax.plots.theme import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    import pandas as pd

_TIMES = 1e3
_SIDE = 1.07
_COLUMNS = 3, 2, 1


def optimisation_panels(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Fill a figure with a panel for each score, on axes that they share.

    Parameters
    ----------
    figure
        Empty figure.
    table
        Columns score, labels (by what they were optimised: two kinds, first the one
        without the tested comparisons), step, difference, low, high, fmr and
        max_discard: the area with optimised labels minus that with the score itself,
        and its 95 % interval.

    Returns
    -------
    matplotlib.figure.Figure
        The same figure, with a legend above the panels.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if len(table) == 0:
        message = "no differences to draw; give at least one score"
        raise InputError(message)
    scores = list(table["score"].unique())
    # As few empty places as can be, so that runs of as many scores begin a line.
    columns = min(_COLUMNS, key=lambda count: -len(scores) % count)
    lines = -(-len(scores) // columns)
    figure.set_figheight(1.0 + 1.7 * lines)
    axes = panels(figure, len(scores), columns, sharex=True, sharey=True)
    for ax, score in zip(axes, scores, strict=True):
        _draw_panel(ax, table.loc[table["score"] == score])
        ax.set_title(plain(str(score)), pad=3)
        ax.tick_params(labelbottom=True)
    first = table.iloc[0]
    figure.supxlabel("step ε of the optimisation")
    figure.supylabel("change of pAUC × 10³ (below 0: better)")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        title=f"pAUC: FNMR at FMR {first['fmr']:g}, mated comparisons discarded up to "
        f"{first['max_discard']:g}; bars: 95 % intervals; labels optimised by",
        title_fontsize=7,
        loc="outside upper center",
        ncols=2,
    )
    return figure


def _draw_panel(ax: Axes, rows: "pd.DataFrame") -> None:
    ax.axhline(0, color=GREY, lw=0.6, zorder=1)
    looks = ((BLUE, "o", "-", 1 / _SIDE), (VERMILION, "s", (0, (4, 1.5)), _SIDE))
    kinds = list(rows["labels"].unique())
    for kind, (color, marker, line, shift) in zip(kinds, looks, strict=False):
        part = rows.loc[rows["labels"] == kind].sort_values("step")
        step, value, low, high = floats(part, "step", "difference", "low", "high")
        # A percentile interval need not hold the value, a bar must start at it.
        bars = np.maximum([value - low, high - value], 0) * _TIMES
        look = {"color": color, "marker": marker, "ls": line, "label": str(kind)}
        # Side by side, or bars of one step would hide each other.
        at = step * shift, value * _TIMES
        ax.errorbar(*at, bars, capsize=2, elinewidth=0.9, zorder=3, **look)
    steps = np.unique(rows["step"].to_numpy(np.float64))
    ax.set_xscale("log")
    ax.set_xticks(steps, [f"{step:g}" for step in steps])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(steps[0] / 1.8, steps[-1] * 1.8)
    few_ticks(ax.yaxis)
