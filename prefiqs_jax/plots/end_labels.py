"""Names at the right of curves instead of a legend, none over another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from prefiqs_jax.plots.labels import plain, shorten

_LONGEST = 24


def spread(places: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Move places apart until neighbours are ``gap`` from each other, by little.

    Parameters
    ----------
    places
        Any order, between 0 and 1.
    gap
        Least distance; less where they have no room.

    Returns
    -------
    ndarray
        In the order given; the order of the places stays.

    Examples
    --------
    >>> spread([0.5, 0.52, 0.9], 0.1).round(2).tolist()
    [0.46, 0.56, 0.9]
    """
    wanted = np.asarray(places, np.float64)
    if not len(wanted):
        return wanted
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, 1 / max(1, len(wanted) - 1))
    # Pool neighbours that are too near, each pool about the middle of what it wants.
    pools: list[list[float]] = []  # of wanted places less their offset, as blocks
    for index, place in enumerate(wanted[order]):
        pools.append([place - gap * index])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    flat = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    found = np.empty(len(wanted))
    last = 1 - gap * (len(wanted) - 1)
    found[order] = np.clip(flat, 0, last) + gap * np.arange(len(wanted))
    return found


def label_ends(
    ax: Axes, ends: Mapping[str, tuple[float, float, Any]], *, height_in: float
) -> None:
    """Write the name of each curve beside the axes, with a line to its last point.

    Parameters
    ----------
    ax
        Axes whose limits and scales are final.
    ends
        Name to x, y and colour of the curve's last point.
    height_in
        Height of the axes, inches, about.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    points = {
        name: to_axes.transform((x, y)) for name, (x, y, _) in ends.items() if y == y
    }
    heights = spread(
        [float(np.clip(y, 0, 1)) for _, y in points.values()], 0.115 / height_in
    )
    for (name, (x, y)), height in zip(points.items(), heights, strict=True):
        color = ends[name][2]
        ax.annotate(
            plain(shorten(name, _LONGEST)),
            xy=(x, y),
            xytext=(1.04, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=7,
            color=color,
            va="center",
            ha="left",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": color, "alpha": 0.6},
        )
