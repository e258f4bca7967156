"""Quality against errors of alignment: a column for each kind, a line per sparsity."""

from itertools import cycle
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from prefiqs_jax.plots.shared import few_ticks, floats, line_with_band
from prefiqs_jax.plots.theme import DENSITY_MAP, GREY, MARKERS

if TYPE_CHECKING:
    import pandas as pd

AnyFigure = TypeVar("AnyFigure", Figure, SubFigure)

ERRORS = {
    "shift_x": "shift right (px)",
    "shift_y": "shift down (px)",
    "rotation": "rotation clockwise (°)",
    "scale": "scale (factor)",
}
"""Label of each kind of error, in the order of the columns."""

ROWS = {
    "mean_quality": "mean quality",
    "standardised_change": "change of quality\n(SD of aligned images)",
    "rank_agreement": "Spearman $\\rho$ with\naligned images",
    "mean_similarity": "similarity to\naligned image",
}
"""Label of each statistic drawn, in the order of the rows; none has another unit."""

# Where there is no effect.
_NEUTRAL = {"standardised_change": 0.0, "rank_agreement": 1.0, "mean_similarity": 1.0}
_DARKEST, _BRIGHTEST = 0.0, 0.85


def alignment_panels(figure: AnyFigure, table: "pd.DataFrame") -> AnyFigure:
    """Fill a figure with panels: statistics over the size of the error.

    Parameters
    ----------
    figure
        Empty figure, or a part of one, whose height stays as it is.
    table
        Columns kind (a key of :data:`ERRORS`), amount, sparsity, statistic (those of
        :data:`ROWS` are drawn), value, low, high, images, clusters and resampled_by
        (identity or image). A sparsity of NaN says that the statistic needs no pruned
        network.
    """
    kinds = [kind for kind in ERRORS if kind in set(table["kind"])]
    rows = [name for name in ROWS if name in set(table["statistic"])]
    sparsities = np.unique(table["sparsity"].to_numpy(np.float64))
    sparsities = sparsities[np.isfinite(sparsities)]
    if isinstance(figure, Figure):
        figure.set_figheight(0.55 + 1.35 * len(rows))
    grid = figure.subplots(
        len(rows), len(kinds), sharex="col", sharey="row", squeeze=False
    )
    for line, statistic in zip(grid, rows, strict=True):
        for ax, kind in zip(line, kinds, strict=True):
            of_kind = (table["kind"] == kind) & (table["statistic"] == statistic)
            if statistic in _NEUTRAL:
                ax.axhline(_NEUTRAL[statistic], color=GREY, lw=0.6, ls="--", zorder=1)
            _lines(ax, table.loc[of_kind], sparsities)
            few_ticks(ax.yaxis, 4)
        line[0].set_ylabel(ROWS[statistic])
    for ax, kind in zip(grid[-1], kinds, strict=True):
        ax.set_xlabel(ERRORS[kind])
    figure.align_ylabels(grid[:, 0])
    handles, names = grid[0, 0].get_legend_handles_labels()
    place = {"loc": "outside upper center", "ncols": len(names)}
    figure.legend(handles, names, title=_title(table), **place)
    return figure


def _title(table: "pd.DataFrame") -> str:
    """Say what the colours and the bands are."""
    images, clusters, by = (
        table[name].iloc[0] for name in ("images", "clusters", "resampled_by")
    )
    drawn = {"identity": f"{clusters} identities"}.get(by, "images")
    return f"sparsity ({images} images; bands: 95 % intervals over {drawn})"


def _lines(ax: Axes, chosen: "pd.DataFrame", sparsities: np.ndarray) -> None:
    """Draw a line and its band for every sparsity, or one in grey for the network."""
    places = np.linspace(_DARKEST, _BRIGHTEST, len(sparsities))
    colors = [colormaps[DENSITY_MAP](place) for place in places]
    styles = zip(sparsities, colors, cycle(MARKERS), strict=False)
    for sparsity, color, marker in [(np.nan, GREY, "."), *styles]:
        levels = chosen["sparsity"].to_numpy(np.float64)
        points = chosen.loc[np.isclose(levels, sparsity, 0, 0, equal_nan=True)]
        if points.empty:
            continue
        values = floats(points.sort_values("amount"), "amount", "value", "low", "high")
        look = {"marker": marker, "ms": 2.2, "lw": 1, "label": f"{sparsity:g}"}
        line_with_band(ax, *values, color=color, alpha=0.15, **look)
