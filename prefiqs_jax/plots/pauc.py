"""Areas under error-versus-discard curves, one line a quality, with their intervals."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.labels import plain
from prefiqs_jax.plots.shared import few_ticks
from prefiqs_jax.plots.theme import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    import pandas as pd

_LINE_IN = 0.17
_REST_IN = 0.85


def pauc_intervals(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Fill a figure with areas: one panel a false match rate, one line a quality.

    A filled marker says that a quality differs from the reference: the interval of the
    difference excludes 0. Where there are too few errors to tell, the panel says so and
    no marker is filled. Lower areas are better.

    Parameters
    ----------
    figure
        Empty figure.
    table
        Columns quality, fmr, pauc, low, high, is_reference, differs and tells, one row
        for each quality and rate; the areas of one benchmark, network and protocol. Low
        and high may be NaN, where there are no intervals.

    Raises
    ------
    InputError
        If the table is empty.
    """
    rates = sorted(table["fmr"].unique(), reverse=True)
    if not rates:
        message = "no areas to draw; give at least one"
        raise InputError(message)
    names = list(table.loc[table["fmr"] == rates[0], "quality"])
    figure.set_figheight(_REST_IN + _LINE_IN * len(names))
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for ax, rate in zip(panels, rates, strict=True):
        rows = table.loc[table["fmr"] == rate].set_index("quality").loc[names]
        for place, (_, row) in enumerate(rows.iterrows()):
            color = VERMILION if row["is_reference"] else BLUE
            if np.isfinite(row["low"]):
                ax.plot([row["low"], row["high"]], [place, place], color=color, lw=1)
            filled = row["tells"] and (row["is_reference"] or row["differs"])
            look = {"color": color, "mfc": color if filled else "white", "ms": 4}
            look["marker"] = "D" if row["is_reference"] else "o"
            ax.plot(row["pauc"], place, **look)
            if row["is_reference"]:
                ax.axvline(row["pauc"], color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=0)
        tells = bool(rows["tells"].all())
        few = "" if tells else ": cannot tell, too few errors"
        ax.set_title(f"FMR {rate:g}{few}", pad=3)
        ax.grid(axis="y", color="0.9", lw=0.5)
        few_ticks(ax.xaxis)
        # Narrow panels have no room for four-digit numbers side by side.
        ax.tick_params(axis="x", labelsize=6.5)
        ax.margins(x=0.06)
        if not rows["pauc"].any():
            ax.set_xlim(-0.05, 1)  # all at 0: areas are not below
    panels[0].set_yticks(range(len(names)), [plain(name) for name in names])
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel("pAUC (lower = better)")
    return figure
