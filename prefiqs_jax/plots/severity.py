"""Drift against known severity, one panel for each degradation."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax.plots.shared import floats, line_with_band, panels
from prefiqs_jax.plots.theme import BLUE, VERMILION

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = 5


def drift_against_severity(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Fill a figure with a panel for each degradation, on axes that they share.

    Parameters
    ----------
    figure
        Empty figure.
    table
        Columns degradation, severity, drift (mean), low, high and rises. A severity
        level whose mean is not above that of the level below is marked with a cross.
    """
    names = table["degradation"].unique()
    figure.set_figheight(0.35 + 1.18 * -(-len(names) // _COLUMNS))
    axes = panels(figure, len(names), _COLUMNS, sharex=True, sharey=True)
    for ax, name in zip(axes, names, strict=True):
        levels = table.loc[table["degradation"] == name].sort_values("severity")
        severity, drift, low, high = floats(levels, "severity", "drift", "low", "high")
        line_with_band(ax, severity, drift, low, high, color=BLUE, marker="o", ms=2.5)
        falls = ~levels["rises"].to_numpy(np.bool_)
        ax.plot(severity[falls], drift[falls], "x", color=VERMILION, ms=6, mew=1.4)
        ax.set_title(str(name).replace("_", " "), pad=3)
        ax.set(xlim=(-0.05, 1.05), xticks=[0, 0.5, 1])
        ax.tick_params(labelsize=6, labelbottom=True)
    # Set once all is drawn: limits that are set no longer grow.
    # Few faces have no interval.
    axes[0].set_ylim(0, 1.05 * np.nanmax(table[["drift", "high"]].to_numpy()))
    figure.supxlabel("severity (0 = clean image)")
    figure.supylabel("mean drift")
    return figure
