"""Drift against known severity, one panel for each degradation."""

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax.plots.theme import BLUE, CYCLE

if TYPE_CHECKING:
    import pandas as pd


def drift_against_severity(
    figure: Figure, table: "pd.DataFrame", *, columns: int = 5
) -> Figure:
    """Fill a figure with a panel for each degradation, on axes that they share.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit, its width stays.
    table
        Columns degradation, severity, drift (mean), low, high and rises. A rung whose
        mean is not above that of the rung below is marked with a cross.
    columns
        Panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
        The same figure.
    """
    names = table["degradation"].unique()
    lines = math.ceil(len(names) / columns)
    figure.set_figheight(0.35 + 1.18 * lines)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    falls_color = CYCLE[1]
    for ax, name in zip(panels.ravel(), names, strict=False):
        rungs = table.loc[table["degradation"] == name].sort_values("severity")
        severity, drift, low, high = (
            rungs[column].to_numpy(np.float64)
            for column in ("severity", "drift", "low", "high")
        )
        ax.fill_between(severity, low, high, color=BLUE, alpha=0.25, lw=0)
        ax.plot(severity, drift, color=BLUE, marker="o", ms=2.5)
        falls = ~rungs["rises"].to_numpy(np.bool_)
        ax.plot(severity[falls], drift[falls], "x", color=falls_color, ms=6, mew=1.4)
        ax.set_title(str(name).replace("_", " "), pad=3)
        ax.set(xlim=(-0.05, 1.05), xticks=[0, 0.5, 1])
        ax.tick_params(labelsize=6, labelbottom=True)
    for ax in panels.ravel()[len(names) :]:
        ax.set_axis_off()
    # Set once all is drawn: limits that are set no longer grow.
    # Few faces have no interval.
    panels[0, 0].set_ylim(0, 1.05 * np.nanmax(table[["drift", "high"]].to_numpy()))
    figure.supxlabel("severity (0 = clean picture)", fontsize=8)
    figure.supylabel("mean drift", fontsize=8)
    return figure
