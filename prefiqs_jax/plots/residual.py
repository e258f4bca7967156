"""Relative residual of the first order, against sparsity and against the change."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from prefiqs_jax.plots.labels import achieved
from prefiqs_jax.plots.shared import floats, nothing_moved
from prefiqs_jax.plots.theme import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    import pandas as pd

_SLOPES = {1.0: "--", 0.5: ":"}
"""Reference slopes against ‖δ‖, and their lines."""


def relative_residual_panels(
    figure: Figure,
    quantiles: "pd.DataFrame",
    statistics: "pd.DataFrame",
    reach: "pd.DataFrame",
    mask: "pd.DataFrame",
) -> Figure:
    """Fill a figure with the relative residual over sparsity, and over ‖δ‖ / ‖θ‖.

    Parameters
    ----------
    figure
        Empty figure.
    quantiles
        Table of :func:`prefiqs_jax.statistics.quantiles` of one network and mask, with
        the quantity relative_residual.
    statistics
        Summary table of that run, for the median and its interval.
    reach
        Table of :func:`prefiqs_jax.statistics.reach`, of which the first line is drawn.
    mask
        Columns sparsity and delta_norm_relative; NaN where that is unknown, and with
        fewer than two known there is no second panel.
    """
    spread = quantiles.loc[quantiles["quantity"] == "relative_residual"]
    spread = spread.dropna(subset=["q50"]).sort_values("sparsity")
    medians = statistics.loc[statistics["statistic"] == "median_relative_residual"]
    medians = medians.set_index("sparsity").reindex(spread["sparsity"].to_numpy())
    norms = mask.set_index("sparsity")["delta_norm_relative"]
    norms = norms.reindex(spread["sparsity"].to_numpy()).to_numpy(np.float64)
    known = norms > 0
    count = 1 + int(known.sum() > 1)
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    axes[0].set(xlabel="sparsity", ylabel="relative residual")
    if not len(spread):
        nothing_moved(axes[0])
        return figure
    _bands(axes[0], achieved(spread), spread, medians)
    axes[0].set_xlim(0, None)
    _reached(axes[0], reach.iloc[0].to_dict())
    if count > 1:
        _bands(axes[1], norms[known], spread.loc[known], medians.loc[known])
        _slopes(axes[1], norms[known], floats(spread.loc[known], "q50")[0])
        axes[1].set(xscale="log", xlabel=r"$\|\delta\|\,/\,\|\theta\|$")
        axes[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=5))
        axes[1].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes[1].xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[0].yaxis.set_minor_formatter(NullFormatter())
    images = sorted(set(spread["images"]))
    told = f"{images[0]} to {images[-1]}" if len(images) > 1 else f"{images[0]}"
    axes[0].set_title(f"n = {told} images", fontsize=7, loc="left")
    return figure


def _bands(
    ax: Axes,
    x: NDArray[np.float64],
    spread: "pd.DataFrame",
    medians: "pd.DataFrame",
) -> None:
    ax.axhline(1, color=GREY, lw=0.7, ls="-", zorder=1)
    ax.axhline(0.1, color=GREY, lw=0.7, ls=(0, (5, 2)), zorder=1)
    low, first, third, high = floats(spread, "q05", "q25", "q75", "q95")
    ax.fill_between(x, low, high, color=VERMILION, alpha=0.16, lw=0)
    ax.fill_between(x, first, third, color=VERMILION, alpha=0.3, lw=0)
    if len(x) == 1:
        ax.vlines(x, low, high, color=VERMILION, alpha=0.3, lw=4)
    value, low, high = floats(medians, "value", "low", "high")
    ax.vlines(x, low, high, color=VERMILION, lw=1)
    ax.plot(x, value, marker="s", ms=3, color=VERMILION)


def _reached(ax: Axes, line: dict[str, Any]) -> None:
    """Mark the sparsity up to which most images are within the tolerance."""
    ends = np.clip([line["low"], line["high"]], line["lowest"], line["highest"])
    if np.isfinite(line["low"]) or np.isfinite(line["high"]):
        ax.hlines(line["tolerance"], *ends, color=BLUE, lw=2.2, zorder=4)
    if np.isfinite(line["value"]):
        look = {"color": BLUE, "marker": "D", "ms": 4.5, "mec": "white", "mew": 0.6}
        ax.plot(line["value"], line["tolerance"], zorder=5, **look)


def _slopes(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Draw reference lines through the first median."""
    ends = np.array([x.min(), x.max()])
    start = y[np.argmin(x)]
    for slope, style in _SLOPES.items():
        label = f"slope {slope:g}"
        ax.plot(
            ends, start * (ends / ends[0]) ** slope, color="black", ls=style, lw=0.9,
            label=label, zorder=3,
        )  # fmt: skip
    # Above: within the axes no place is free of every line.
    place = {"loc": "lower right", "bbox_to_anchor": (1, 0.98), "ncols": 2}
    ax.legend(**place, handlelength=1.8, columnspacing=0.8, borderpad=0)
