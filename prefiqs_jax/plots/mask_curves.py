"""A statistic of several masks over mean drift or ‖δ‖, with intervals and names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from prefiqs_jax.plots.end_labels import label_ends
from prefiqs_jax.plots.labels import number
from prefiqs_jax.plots.shared import few_ticks, floats, note
from prefiqs_jax.plots.theme import GREY, look

if TYPE_CHECKING:
    import pandas as pd

ABSCISSAE = {
    "mean_drift": "mean drift (no unit)",
    "delta_norm_relative": r"$\|\delta\|\,/\,\|\theta\|$ (no unit)",
}
"""Labels of what masks are compared over."""
STATISTICS = {
    "median_relative_residual": "median relative\nresidual",
    "spearman": "Spearman $\\rho$ of first\norder and drift",
    "separation": "AUROC of drift,\nclean or degraded",
    "pauc": "pAUC\n(lower = better)",
}
"""Labels of the statistics that are drawn."""
_LEVELS = {"separation": 0.5}
"""Where there is no separation."""
_PANEL_IN = 2.2


def mask_curves(
    ax: Axes,
    table: "pd.DataFrame",
    x: str,
    y: str,
    *,
    masks: Sequence[str] = (),
    height_in: float = _PANEL_IN - 0.45,
) -> Axes:
    """Draw one statistic of every mask over mean drift or ‖δ‖, on a log axis.

    Parameters
    ----------
    ax
        Axes to draw on.
    table
        Columns mask, sparsity, ``x``, ``y``, ``y_low`` and ``y_high``, a line for each
        mask and sparsity, see :class:`prefiqs_jax.statistics.MaskComparison`. Where x
        is zero or y undefined, there is no point.
    x, y
        Keys of ``ABSCISSAE`` and ``STATISTICS``. The relative residual is drawn on a
        log axis.
    masks
        Their order, which decides colours; by default that of the table.
    height_in
        Height of the axes, inches, about.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes. A line joins the sparsities of a mask in ascending order;
        whiskers are intervals; names stand at the right.
    """
    masks = list(masks) or list(dict.fromkeys(table["mask"]))
    ends = {}
    known = table.loc[(table[x] > 0) & table[y].notna()]
    ax.set(xlabel=ABSCISSAE[x], ylabel=STATISTICS[y])
    if not len(known):
        ax.set(xticks=[], yticks=[])
        note(ax, "not defined")
        return ax
    is_log = y == "median_relative_residual" and bool((known[y] > 0).all())
    ax.set_xscale("log")
    ax.set_yscale("log" if is_log else "linear")
    if y in _LEVELS:
        ax.axhline(_LEVELS[y], color=GREY, lw=0.8, ls="--", zorder=1)
    for place, mask in enumerate(masks):
        own = known.loc[known["mask"] == mask].sort_values("sparsity")
        if not len(own):
            continue
        at, value, low, high = floats(own, x, y, f"{y}_low", f"{y}_high")
        style = look(place)
        ax.vlines(at, low, high, color=style["color"], lw=0.8, alpha=0.7)
        ax.plot(at, value, **style, ms=3.5, lw=1)
        last = int(np.argmax(at))
        ends[mask] = (at[last], value[last], style["color"])
    _ticks(ax, is_log=is_log)
    label_ends(ax, ends, height_in=height_in)
    return ax


def _ticks(ax: Axes, *, is_log: bool) -> None:
    """Write plain numbers at 1, 2 and 5 times powers of ten."""
    logs = [ax.xaxis, ax.yaxis] if is_log else [ax.xaxis]
    if not is_log:
        few_ticks(ax.yaxis, 4)
    ax.autoscale_view()
    for axis in logs:
        low, high = axis.get_view_interval()
        wide = high / low > 30
        axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, _: number(value, ".6g"))
        axis.set_minor_formatter(NullFormatter())


def mask_curve_panels(
    figure: Figure,
    table: "pd.DataFrame",
    x: str,
    statistics: Sequence[str],
) -> Figure:
    """Fill a figure with panels, one above the other: statistics of every mask.

    Parameters
    ----------
    figure
        Empty figure.
    table, x
        As for :func:`mask_curves`.
    statistics
        Keys of ``STATISTICS``.
    """
    count = len(statistics)
    masks = list(dict.fromkeys(table["mask"]))
    panel = max(_PANEL_IN, 0.45 + 0.12 * len(masks))
    figure.set_figheight(panel * count)
    for ax, y in zip(
        figure.subplots(count, 1, squeeze=False)[:, 0], statistics, strict=True
    ):
        mask_curves(ax, table, x, y, masks=masks, height_in=panel - 0.45)
    return figure
