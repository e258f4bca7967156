"""Quantities over sparsity, and image by image, with a mark for each kind of image."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from prefiqs_jax.plots.drift_scatter import thinned
from prefiqs_jax.plots.labels import QUANTITIES, SPARSITY, counted, plain
from prefiqs_jax.plots.shared import (
    aside,
    curve_with_intervals,
    few_ticks,
    floats,
    legend_above,
    note,
    nothing_moved,
    plain_log,
)
from prefiqs_jax.plots.theme import GREY, look

if TYPE_CHECKING:
    import pandas as pd

_BAND: dict[str, Any] = {"color": "0.85", "lw": 0, "zorder": 0}
_BEYOND = 0.01
"""Sparsity by which a band reaches beyond the first and the last."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes of :func:`kind_panels`.

    Attributes
    ----------
    table
        Columns sparsity, achieved_sparsity, stratum (the kind), quantity, value, low,
        high and images.
    quantities
        Which of its quantities, two at most, to their labels; the second is hollow.
    label
        Label of the y axis.
    references
        Where a line is drawn across: dashed, and further ones dotted.
    error
        Quantity with the standard error of the first reference, as a part of it: a band
        of twice that on both sides is drawn.
    limits
        Lower and upper limit of the y axis; None = fitted to the data.
    is_log
        Whether the y axis is logarithmic.
    """

    table: "pd.DataFrame"
    quantities: Mapping[str, str]
    label: str
    references: tuple[float, ...] = ()
    error: str = ""
    limits: tuple[float, float] | None = None
    is_log: bool = False


def kind_panels(figure: Figure, *panels: Panel) -> Figure:
    """Fill a figure with quantities over sparsity, a curve for each kind of image.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit.
    panels
        One above the other.
    """
    width = figure.get_figwidth()
    figure.set_figheight(width * (0.2 + 0.46 * len(panels)))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        _draw(ax, panel)
    axes[-1].set_xlabel(SPARSITY)
    handles = []
    for place, (kind, own) in enumerate(panels[0].table.groupby("stratum", sort=False)):
        label = (
            f"{plain(str(kind))}, n = {counted(int(np.max(own['images'])), 'image')}"
        )
        handles.append(Line2D([], [], label=label, **look(place)))
    names = max((panel.quantities for panel in panels), key=len)
    for label, fill in zip(names.values(), (GREY, "none"), strict=False):
        mark: dict[str, Any] = {"ls": "", "marker": "o", "color": GREY, "mfc": fill}
        handles += [Line2D([], [], label=label, **mark)] if len(names) > 1 else []
    if any(panel.error for panel in panels):
        handles.append(Patch(label="± 2 standard errors, random directions", **_BAND))
    where: dict[str, Any] = {"loc": "outside upper center", "ncols": 2}
    figure.legend(handles=handles, **where)
    return figure


def _draw(ax: Axes, panel: Panel) -> None:
    ax.set_ylabel(panel.label)
    known = panel.table.loc[panel.table["value"].notna()]
    chosen = known.loc[known["quantity"].isin(list(panel.quantities))]
    if not len(chosen):
        # Its horizontal ticks are those of the panels above and below, too.
        note(ax, "no change above rounding")
        ax.set_yticks([])
        return
    levels = np.unique(chosen["sparsity"].to_numpy(np.float64))
    for dashes, at in zip(("--", ":", ":"), panel.references, strict=False):
        ax.axhline(at, color=GREY, lw=0.8, ls=dashes, zorder=1)
    if panel.error:
        errors = known.loc[known["quantity"] == panel.error]
        widest = errors.groupby("achieved_sparsity")["value"].max()
        ends = panel.references[0] * (1 + np.outer([-2, 2], widest))
        # A little wider, so that a single sparsity has a band, too.
        at = np.pad(widest.index.to_numpy(np.float64), 1, "edge")
        at[[0, -1]] += -_BEYOND, _BEYOND
        ax.fill_between(at, *np.pad(ends, ((0, 0), (1, 1)), "edge"), **_BAND)
    kinds = list(dict.fromkeys(panel.table["stratum"]))
    pairs = [(kind, name) for kind in kinds for name in panel.quantities]
    for number, (kind, name) in enumerate(pairs):
        own = chosen.loc[(chosen["stratum"] == kind) & (chosen["quantity"] == name)]
        style: dict[str, Any] = {"place": kinds.index(kind)}
        if name != next(iter(panel.quantities)):
            style |= {"mfc": "white"}
        shift = aside(levels, number, len(pairs))
        curve_with_intervals(ax, own, shift=shift, **style)
    if panel.is_log:
        ax.set_yscale("log")
        plain_log(ax.yaxis)
    else:
        few_ticks(ax.yaxis)
    if panel.limits is not None:
        ax.set_ylim(*panel.limits)


def gradient_scatter(ax: Axes, rows: "pd.DataFrame", labels: Mapping[str, str]) -> Axes:
    """Draw the gradient by the pixels against the first order, image by image.

    Parameters
    ----------
    ax
        Axes to draw on; they become logarithmic.
    rows
        Columns first_order, pixel_gradient and stratum. What is zero has no place on a
        logarithmic axis and is left out.
    labels
        Kinds of the column stratum, to their words in the legend.
    """
    ax.set(xlabel=QUANTITIES["first_order"])
    ax.set_ylabel(r"$\|\partial\|J\delta\|\,/\,\partial x\|$ (per unit of the input)")
    kept = rows.loc[(rows["first_order"] > 0) & (rows["pixel_gradient"] > 0)]
    if not len(kept):
        return nothing_moved(ax)
    size = float(np.clip(900 / np.sqrt(len(kept)), 3, 14))
    for place, (kind, label) in enumerate(labels.items()):
        own = kept.loc[kept["stratum"] == kind]
        x, y = thinned(*floats(own, "first_order", "pixel_gradient"))
        style: dict[str, Any] = {"s": size, "alpha": 0.7, "rasterized": True}
        ax.scatter(x, y, label=label, lw=0, **style, **look(place))
    ax.set(xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        plain_log(axis)
    legend_above(ax, columns=1)
    return ax
