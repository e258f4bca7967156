"""What a sweep measures on request: Taylor orders, kinks, flips and controls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import SPARSITY, plain, shorten
from prefiqs_jax.plots.shared import (
    floats,
    legend_above,
    nothing_moved,
    plain_log,
    quantity_curves,
)
from prefiqs_jax.plots.theme import GREY, VERMILION, look

if TYPE_CHECKING:
    import pandas as pd

ORDERS = {
    "residual": "order 1",
    "second_order_residual": "order 2",
    "third_order_residual": "order 3",
}
"""Columns with what each order of the Taylor series leaves, and their labels."""
PARTS = {
    "residual": "residual of the first order",
    "smooth_residual": "smooth part",
    "kink_residual": "part of the kinks",
}
"""Columns with the two parts of the first order's residual, and their labels."""
_MEANS = {
    "drift": "mean drift",
    "cosine": "mean cosine",
}
_WIDE = 30
"""Ratio of counts from which on their axis is logarithmic above 1."""
_WITHIN = 0.8
"""Part of the distance between two sparsities that marks of one of them take."""


def medians_against_sparsity(
    ax: Axes, table: "pd.DataFrame", quantities: Mapping[str, str]
) -> Axes:
    """Draw medians of residuals over drift, with intervals, on a logarithmic axis.

    Parameters
    ----------
    ax
        Axes to draw on.
    table
        Of :func:`prefiqs_jax.statistics.relative_medians`.
    quantities
        Which of its quantities, to their labels: :data:`ORDERS` or :data:`PARTS`; those
        that the table lacks are left out.
    """
    ax.set(xlabel=SPARSITY, ylabel="residual / drift")
    kept = table.loc[table["value"] > 0]
    if not len(kept):
        return nothing_moved(ax)
    ax.axhline(1, color=GREY, lw=0.7, zorder=1)
    ax.axhline(0.1, color=GREY, lw=0.7, ls=(0, (5, 2)), zorder=1)
    drawn = quantity_curves(ax, kept, quantities, "value")
    ax.set_yscale("log")
    plain_log(ax.yaxis)
    images = int(kept["images"].max())
    ax.text(
        0.99, 0.02, f"n = {images} images", fontsize=7, ha="right",
        transform=ax.transAxes,
    )  # fmt: skip
    legend_above(ax, columns=drawn if quantities is ORDERS else 1)
    return ax


def flips_by_depth(ax: Axes, table: "pd.DataFrame", *, sparsity: float) -> Axes:
    """Draw the mean number of flips at each activation beside the predicted one.

    Parameters
    ----------
    ax
        Axes to draw on.
    table
        Of :func:`prefiqs_jax.statistics.flip_table`, activations by depth.
    sparsity
        Which of its lines.
    """
    chosen = table.loc[table["sparsity"] == sparsity]
    flips, low, high, predicted = floats(
        chosen, "flips", "low", "high", "predicted_flips"
    )
    down = np.arange(len(chosen))
    style = look(0)
    ax.hlines(down, low, high, color=style["color"], lw=1.2)
    ax.plot(flips, down, ls="", label="flips, 95 % interval", **style)
    hollow = {"marker": "s", "mfc": "none", "mec": VERMILION, "ms": 5.5, "mew": 1}
    ax.plot(predicted, down, ls="", label="predicted by the tangents", **hollow)
    names = [plain(shorten(str(name), 22)) for name in chosen["activation"]]
    ax.set_yticks(down, names, fontsize=6.5 if len(names) <= 40 else 4.5)
    ax.set_ylim(len(chosen) - 0.4, -0.6)
    if np.max(flips) > _WIDE * np.min(flips):
        ax.set_xscale("symlog", linthresh=1, linscale=0.3)
    ax.set_xlim(0, None)
    ax.grid(axis="y", color="0.92", lw=0.5)
    ax.set_ylabel("activation, from the image")
    ax.set_xlabel(f"sign changes (mean of n = {chosen['images'].max()} images)")
    legend_above(ax)
    return ax


def control_panels(
    figure: Figure, means: "pd.DataFrame", ranks: "pd.DataFrame"
) -> Figure:
    """Fill a figure with pruning beside directions of its norm in every layer.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit.
    means, ranks
        Of :class:`prefiqs_jax.statistics.ControlComparison`.
    """
    figure.set_figheight(1.45 * figure.get_figwidth())
    axes = figure.subplots(3, 1, sharex=True)
    levels = np.unique(means["sparsity"].to_numpy(np.float64))
    controls = list(dict.fromkeys(means["control"]))
    for ax, (quantity, label) in zip(axes, _MEANS.items(), strict=False):
        of_it = means.loc[means["quantity"] == quantity]
        for place, control in enumerate(controls):
            chosen = of_it.loc[of_it["control"] == control].sort_values("sparsity")
            at = _place(levels, chosen, place, len(controls))
            scale = np.ones(len(chosen))
            if quantity == "drift":
                scale = floats(chosen, "observed")[0]
            mean, low, high = floats(chosen, "control_mean", "lowest", "highest")
            style = look(place)
            ax.vlines(at, low / scale, high / scale, color=style["color"], lw=1.2)
            ax.plot(at, mean / scale, ls="", label=plain(control), **style)
        observed = of_it.drop_duplicates("sparsity").sort_values("sparsity")
        at = np.searchsorted(levels, observed["sparsity"].to_numpy(np.float64))
        value = floats(observed, "observed")[0]
        if quantity == "drift":
            value, label = np.ones(len(value)), "mean drift\n/ that of pruning"
        wide = {"color": "black", "lw": 1.2, "zorder": 0, "label": "pruning"}
        ax.hlines(value, at - _WITHIN / 2, at + _WITHIN / 2, **wide)
        ax.set_ylabel(label)
    _ranks(axes[2], ranks, levels, controls)
    axes[2].set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    axes[2].set(xlabel="sparsity", xlim=(-0.6, len(levels) - 0.4))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


def _ranks(
    ax: Axes, ranks: "pd.DataFrame", levels: np.ndarray, controls: list[str]
) -> None:
    """Draw how alike pruning and a control rank images, beside two controls."""
    for place, control in enumerate(controls):
        own = ranks.loc[ranks["control"] == control]
        style: dict[str, Any] = look(place)
        white: dict[str, Any] = {"mfc": "white"}
        pairs = (("pruning, control", {}), ("control, control", white))
        for side, (pair, hollow) in zip((-0.25, 0.25), pairs, strict=True):
            chosen = own.loc[own["pair"] == pair].sort_values("sparsity")
            value, low, high = floats(chosen, "spearman", "low", "high")
            at = _place(levels, chosen, place + side, len(controls))
            ax.vlines(at, low, high, color=style["color"], lw=0.9)
            marks: dict[str, Any] = {**style, "ls": "", **hollow}
            ax.plot(at, value, **marks)
    lowest = np.nanmin(np.append(ranks["low"].to_numpy(np.float64), 0))
    ax.set_ylim(max(-1.0, lowest) - 0.03, 1.03)
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)
    ax.set_ylabel("Spearman $\\rho$ of drifts\n(hollow: two controls)")


def _place(
    levels: np.ndarray, chosen: "pd.DataFrame", place: float, count: int
) -> np.ndarray:
    at = np.searchsorted(levels, chosen["sparsity"].to_numpy(np.float64))
    return at + _WITHIN * ((place + 0.5) / count - 0.5)
