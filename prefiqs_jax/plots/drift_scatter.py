"""Drift against first order: one density-coloured scatter per sparsity."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from prefiqs_jax.plots.labels import (
    QUANTITIES,
    achieved,
    level_label,
    number,
    plain,
    shorten,
)
from prefiqs_jax.plots.shared import floats, panels
from prefiqs_jax.plots.theme import DENSITY_MAP

if TYPE_CHECKING:
    import pandas as pd


def drift_against_first_order(
    ax: Axes,
    first_order: Float[np.ndarray, " images"],
    drift: Float[np.ndarray, " images"],
    density: Float[np.ndarray, " images"],
) -> Axes:
    """Scatter the drift over its first-order prediction, with the line y = x.

    Parameters
    ----------
    ax
        Axes to draw on; becomes square, from 0, the same scale on both axes.
    first_order, drift
        Shape (images,), without unit.
    density
        Shape (images,), in [0, 1]: colour, 1 = densest; see
        :func:`prefiqs_jax.statistics.point_density`.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes; its last collection is the scatter.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> at = np.array([0.1, 0.2])
    >>> drift_against_first_order(ax, at, at, np.ones(2)).get_aspect()
    1.0
    """
    # The densest last, so that sparse points do not hide them.
    order = np.argsort(density, kind="stable")
    largest = float(max(first_order.max(initial=0), drift.max(initial=0)))
    limit = 1.05 * largest if largest > 0 else 1.0
    # Over the points, with a white rim, to be seen in large runs, too.
    rim = withStroke(linewidth=1.2, foreground="white", alpha=0.7)
    diagonal = {"color": "black", "lw": 0.6, "ls": "--", "path_effects": [rim]}
    ax.plot([0, limit], [0, limit], zorder=3, **diagonal)
    size = float(np.clip(600 / math.sqrt(max(len(drift), 1)), 2, 14))
    colour: Any = {"c": density[order], "cmap": DENSITY_MAP, "vmin": 0, "vmax": 1}
    look = {"s": size, "lw": 0, "rasterized": True, "zorder": 2}
    ax.scatter(first_order[order], drift[order], **colour, **look)
    ax.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    # One locator for both axes: equal scales deserve equal ticks.
    for axis in (ax.xaxis, ax.yaxis):
        # Few, since more would touch in panels of an inch.
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 4, 5, 10]))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    return ax


def drift_panels(
    figure: Figure,
    rows: "pd.DataFrame",
    table: "pd.DataFrame",
    *,
    change: str | None = None,
) -> Figure:
    """Fill a figure with one drift scatter per sparsity.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit the panels, and its width shrinks
        if they are few.
    rows
        Columns sparsity, first_order, drift, density and perhaps achieved_sparsity, of
        one network and mask.
    table
        Summary table of that run, for Spearman and Pearson in the titles.
    change
        Name of a change of the weights that is no mask, in place of the sparsity.
    """
    levels = np.unique(rows["sparsity"].to_numpy(np.float64))
    columns = _columns(len(levels), figure.get_figwidth())
    lines = math.ceil(len(levels) / columns)
    # Ticks and the colour bar take their part of the width; square panels the rest.
    side = min((figure.get_figwidth() - 1.1) / columns - 0.35, 3.0)
    figure.set_size_inches(columns * (side + 0.35) + 1.1, lines * (side + 0.62) + 0.25)
    axes = panels(figure, len(levels), columns)
    for ax, level in zip(axes, levels, strict=True):
        chosen = rows.loc[rows["sparsity"] == level]
        values = floats(chosen, "first_order", "drift", "density")
        drift_against_first_order(ax, *values)
        rank, norm = (number(_value(table, level, n)) for n in ("spearman", "pearson"))
        title = f"sparsity {level_label(level, float(achieved(chosen)[0]))}"
        if change is not None:
            title = plain(shorten(change))
        ax.set_title(f"{title}\n" rf"$\rho$ {rank},  $r$ {norm}")
    figure.supxlabel(f"{QUANTITIES['first_order']} (no unit);   dashed: y = x")
    figure.supylabel(f"{QUANTITIES['drift']} (no unit)")
    _density_bar(figure, list(axes))
    return figure


def _columns(panels: int, width: float) -> int:
    """Choose panels side by side: about 1.4 to 1.8 in wide, the last line well filled.

    >>> [_columns(panels, 7.16) for panels in (1, 3, 4, 6, 10, 20)]
    [1, 3, 4, 3, 5, 5]
    """
    most = max(1, int(width / 1.4))
    if panels <= most - 1:
        return panels
    candidates = range(max(1, most - 2), most + 1)
    return min(candidates, key=lambda columns: (-panels % columns, -columns))


def _value(table: "pd.DataFrame", sparsity: float, statistic: str) -> float:
    chosen = (table["sparsity"] == sparsity) & (table["statistic"] == statistic)
    found = table.loc[chosen, "value"].to_numpy(np.float64)
    return float(found[0]) if len(found) else math.nan


def _density_bar(figure: Figure, axes: list[Axes]) -> None:
    scatter = axes[0].collections[-1]
    if not isinstance(scatter, PathCollection):
        return
    bar = figure.colorbar(
        scatter, ax=axes, shrink=min(1.0, 1.9 / figure.get_figheight()), aspect=18
    )
    bar.set_label("density of images\n(1 = densest of the panel)")
    bar.set_ticks([0, 0.5, 1])
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
