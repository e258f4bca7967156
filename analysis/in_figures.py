"""What figures of several scripts share."""

from typing import TYPE_CHECKING, Any

import numpy as np
from in_words import main_stratum, most, pick, title
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from prefiqs_jax.plots.theme import look

if TYPE_CHECKING:
    import pandas as pd


def whiskers(
    ax: Axes, lines: "pd.DataFrame", place: int, count: int, **look: Any
) -> None:
    """Draw values over sparsity with intervals, as one of several curves.

    Its points stand a little aside, so that whiskers do not hide each other.
    """
    value, low, high, sparsity = (
        lines[name].to_numpy(np.float64)
        for name in ("value", "low", "high", "sparsity")
    )
    x = sparsity * 1.04 ** (place - (count - 1) / 2)
    known = np.isfinite(low) & np.isfinite(high)
    colour = look.get("color")
    ax.vlines(x[known], low[known], high[known], color=colour, lw=0.9, clip_on=False)
    ax.plot(x, value, lw=0.7, ms=3.2, clip_on=False, **look)


def strata_curves(ax: Axes, part: "pd.DataFrame", statistic: str) -> None:
    """Draw a statistic of clean and of degraded images, or of all, over sparsity."""
    names = [n for n in ("clean", "degraded") if n in set(part["stratum"])] or ["all"]
    for place, name in enumerate(names):
        lines = pick(part, statistic=statistic, stratum=name)
        label = f"{name} (n = {most(lines, 'images')})"
        whiskers(ax, lines, place, len(names), label=label, **look(place))


def ratio_axis(ax: Axes) -> None:
    """Make the upward axis that of ratios, in powers of two around 1."""
    ax.axhline(1, color="0.5", lw=0.7, ls="--", zorder=0)
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_yticks((0.125, 0.25, 0.5, 1, 2, 4, 8))
    ax.set_ylim(min(low, 0.5), max(high, 2))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def label_sparsities(ax: Axes, table: "pd.DataFrame") -> None:
    """Put the sparsities that were swept on a logarithmic axis."""
    swept = np.unique(table["sparsity"].dropna().to_numpy(np.float64)).tolist()
    ax.set_xscale("log")
    ax.set_xticks(swept, [f"{tick:g}" for tick in swept])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="sparsity", xlim=(0.88 * swept[0], 1.14 * swept[-1]))


def legend_over(ax: Axes, columns: int) -> None:
    """Put the legend above the axes and their title."""
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.1)}
    ax.legend(**place, ncols=columns, handlelength=1.4, columnspacing=0.9)


def heading(part: "pd.DataFrame") -> str:
    """Name a run above its panels, with its images and people."""
    own = pick(part, stratum=main_stratum(part))
    kind = "clean images" if main_stratum(part) == "clean" else "images"
    return f"{title(part)}\n{most(own, 'images')} {kind}, {most(own, 'people')} people"
