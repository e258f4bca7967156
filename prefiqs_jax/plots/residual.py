"""Residual of the first order against sparsity: relative, and beside the drift."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from prefiqs_jax.plots.labels import QUANTITIES, SPARSITY, achieved
from prefiqs_jax.plots.run_figure import RunFigure
from prefiqs_jax.plots.shared import floats, line_with_band, nothing_moved
from prefiqs_jax.plots.theme import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    import pandas as pd


def relative_residual_against_sparsity(
    ax: Axes, quantiles: "pd.DataFrame", statistics: "pd.DataFrame"
) -> Axes:
    """Draw the relative residual over the achieved sparsity: median and spread.

    Parameters
    ----------
    ax
        Axes to draw on.
    quantiles
        Table of :func:`prefiqs_jax.statistics.quantiles` of one network and mask, with
        q05 and q95 of the quantity relative_residual.
    statistics
        Summary table of that run, for the median and its interval.
    """
    spread = quantiles.loc[quantiles["quantity"] == "relative_residual"].dropna()
    spread = spread.sort_values("sparsity")
    medians = statistics.loc[
        statistics["statistic"] == "median_relative_residual"
    ].sort_values("sparsity")
    ax.set(xlabel=SPARSITY, ylabel=QUANTITIES["relative_residual"])
    if len(spread) == 0:
        return nothing_moved(ax)
    low, high = floats(spread, "q05", "q95")
    ax.axhline(1, color=GREY, lw=0.8, ls="--", zorder=1)
    ax.fill_between(achieved(spread), low, high, color=VERMILION, alpha=0.2, lw=0)
    value, low, high = floats(medians, "value", "low", "high")
    ax.vlines(achieved(medians), low, high, color=VERMILION, lw=0.9)
    ax.plot(achieved(medians), value, marker="s", color=VERMILION)
    ax.set_ylim(0, None)
    return ax


def residual_against_sparsity(ax: Axes, quantiles: "pd.DataFrame") -> Axes:
    """Draw median and 5-95 % range of residual and drift over sparsity, log-log.

    Parameters
    ----------
    ax
        Axes to draw on.
    quantiles
        Table of :func:`prefiqs_jax.statistics.quantiles` of one network and mask, with
        q05, q50 and q95 of the quantities drift and residual. What is zero has no place
        on a log axis and is left out.
    """
    shown = set()
    for quantity, color, marker in (("drift", BLUE, "o"), ("residual", VERMILION, "s")):
        chosen = quantiles.loc[quantiles["quantity"] == quantity]
        chosen = chosen.loc[(achieved(chosen) > 0) & (chosen["q05"] > 0)]
        chosen = chosen.sort_values("sparsity")
        sparsity = achieved(chosen)
        shown.update(sparsity.tolist())
        values = floats(chosen, "q50", "q05", "q95")
        look = {"color": color, "marker": marker, "label": QUANTITIES[quantity]}
        line_with_band(ax, sparsity, *values, alpha=0.2, whiskers=True, **look)
    ax.set(xlabel=SPARSITY, ylabel="distance (no unit)")
    if not shown:
        return nothing_moved(ax)
    ax.set(xscale="log", yscale="log")
    _label_sparsities(ax, sorted(shown))
    ax.legend(loc="best", title="median, band 5–95 % of images", alignment="left")
    return ax


def _label_sparsities(ax: Axes, levels: list[float]) -> None:
    # The sparsities themselves as ticks, but none that would run into its neighbour.
    kept = [levels[-1]]
    gap = max(0.07 * np.log(levels[-1] / levels[0]), 1e-9)
    for level in levels[-2::-1]:
        if np.log(kept[-1] / level) >= gap:
            kept.append(level)
    ax.xaxis.set_major_locator(FixedLocator(kept))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")


FIGURE = RunFigure(
    residual_against_sparsity,
    table="quantiles",
    title="Residual against sparsity",
    caption="What the first order leaves unexplained, beside the drift; medians, with "
    "the band from the 5th to the 95th percentile of the images. Both axes are "
    "logarithmic. Where the remainder is of second order in δ, the residual rises "
    "about twice as steeply as the drift.",
    alt="Log-log plot of the median residual and the median drift over sparsity.",
)
