"""What each layer adds to the drift: of every image, and as a profile by depth."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm

from prefiqs_jax.plots.labels import plain, shorten
from prefiqs_jax.plots.shared import floats, legend_above
from prefiqs_jax.plots.theme import GREY, look
from prefiqs_jax.statistics import contribution_shares

if TYPE_CHECKING:
    import pandas as pd

SHARE = "share of the image's drift"
_LINEAR = 0.01
"""Shares are on a linear scale up to this one, on a logarithmic one beyond: the last
layer of a network may hold nine tenths of the drift."""
_TICKS = (-1, -0.1, -0.01, 0, 0.01, 0.1, 1)
_NAME_LENGTH = 22
_MOST_LEGIBLE = 40
"""Layers beyond which names are printed smaller."""


def _label_layers(ax: Axes, found: Iterable[object]) -> None:
    names = list(found)
    size = 6.5 if len(names) <= _MOST_LEGIBLE else 4.5
    labels = [plain(shorten(str(name), _NAME_LENGTH)) for name in names]
    ax.set_yticks(range(len(names)), labels, fontsize=size)
    ax.set_ylabel("layer, from the image to the embedding")


def contribution_map(
    ax: Axes,
    contributions: "pd.DataFrame",
    *,
    sparsity: float,
    groups: Mapping[str, str] | None = None,
) -> Axes:
    """Show every layer's share of every image's drift.

    Parameters
    ----------
    ax
        Axes to draw on.
    contributions
        Columns image, sparsity, layer and contribution, a line for each of them; layers
        in the order of their depth, as by
        :func:`prefiqs_jax.sensitivity.leaves_by_depth`. Those of an image sum to its
        drift.
    sparsity
        Which lines are drawn.
    groups
        Image to group, such as clean and degraded; groups stand side by side.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a colour bar. Images go from the smallest drift at the left
        of each group to the largest. An image without drift has no share, and is blank.
    """
    shares = contribution_shares(contributions, sparsity)
    chosen = contributions.loc[contributions["sparsity"] == sparsity]
    drift = chosen.groupby("image")["contribution"].sum()
    of = {image: (groups or {}).get(str(image), "") for image in shares.columns}
    names = list(dict.fromkeys((groups or {"": ""}).values()))
    order = sorted(of, key=lambda image: (names.index(of[image]), drift[image]))
    values = shares[order].to_numpy(np.float64)
    norm = SymLogNorm(_LINEAR, vmin=-1, vmax=1)
    image = ax.imshow(
        values, aspect="auto", norm=norm, cmap="PuOr_r", interpolation="nearest"
    )
    _label_layers(ax, shares.index)
    sizes = [sum(group == name for group in of.values()) for name in names]
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        ax.axvline(end - 0.5, color="black", lw=0.8)
    ax.set_xticks(
        [end - size / 2 - 0.5 for end, size in zip(ends, sizes, strict=True)],
        [
            f"{plain(name)}\nn = {size}".strip()
            for name, size in zip(names, sizes, strict=True)
        ],
    )
    ax.tick_params(length=0)
    ax.set_xlabel("images, by drift in ascending order")
    bar = ax.figure.colorbar(image, ax=ax, label=SHARE, pad=0.02, aspect=30)
    bar.set_ticks(_TICKS, labels=[f"{tick:g}" for tick in _TICKS])
    bar.ax.minorticks_off()
    return ax


def contribution_profile(
    ax: Axes,
    shares: "pd.DataFrame",
    *,
    pruned: Mapping[str, float] | None = None,
    pruned_label: str = "pruned weights",
) -> Axes:
    """Draw the median share of the drift of each layer, beside what it loses.

    Parameters
    ----------
    ax
        Axes to draw on.
    shares
        Table of :func:`prefiqs_jax.statistics.share_table`, of one sparsity; its groups
        are drawn beside each other.
    pruned
        Layer to what it loses, such as the number of its weights or the square of their
        norm: drawn as bars, as shares of all.
    pruned_label
        Name of the bars.
    """
    layers = list(dict.fromkeys(shares["layer"]))
    lines = np.arange(len(layers))
    if pruned is not None:
        lost = np.array([pruned.get(str(name), 0) for name in layers], np.float64)
        part = lost / (lost.sum() or 1)
        ax.barh(lines, part, height=0.9, zorder=0, color="0.85", label=pruned_label)
    groups = list(dict.fromkeys(shares["group"]))
    for place, name in enumerate(groups):
        chosen = shares.loc[shares["group"] == name].set_index("layer").loc[layers]
        value, low, high = floats(chosen, "share", "low", "high")
        down = lines + 0.3 * (place - (len(groups) - 1) / 2)
        style = look(place)
        which = f"{plain(name)}, " if name else ""
        label = f"drift ({which}n = {chosen['images'].iloc[0]})"
        ax.hlines(down, low, high, color=style["color"], lw=1)
        ax.plot(value, down, ls="", ms=3, label=label, **style)
    ax.axvline(0, color=GREY, lw=0.6, zorder=1)
    _label_layers(ax, layers)
    ax.set_ylim(len(layers) - 0.5, -0.5)
    ax.set_xscale("symlog", linthresh=_LINEAR, linscale=0.5)
    drawn = [tick for tick in _TICKS if tick >= min(0, ax.get_xlim()[0])]
    ax.set_xticks(drawn, [f"{tick:g}" for tick in drawn])
    ax.minorticks_off()
    ax.set_xlabel("share (median of images, 95 % interval)")
    legend_above(ax, columns=1)
    return ax
