"""Heat maps of a comparison of masks: what each layer loses, and how masks overlap."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from prefiqs_jax.plots.labels import plain, shorten

_MOST_NUMBERS = 60
"""Lines beyond which a map has no numbers."""


def layer_profiles(
    ax: Axes,
    names: Sequence[str],
    sizes: Sequence[int],
    masks: Sequence[str],
    achieved: Float[np.ndarray, "layers masks"],
) -> Axes:
    """Show the achieved sparsity of every layer under every mask.

    Parameters
    ----------
    ax
        Axes to draw on.
    names, sizes
        Name and number of weights of each layer, from the top.
    masks
        Names, from the left.
    achieved
        Shape (layers, masks), counted, in [0, 1]. A layer that loses all its weights is
        marked with a cross.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a colour bar beside it.
    """
    share = np.asarray(sizes, np.float64) / max(sum(sizes), 1)
    labels = [
        f"{plain(shorten(name, 22))} {100 * part:.1f} %"
        for name, part in zip(names, share, strict=True)
    ]
    words = [
        ["×" if value >= 1 else f"{value:.2f}".lstrip("0") for value in line]
        for line in achieved
    ]
    _map(ax, achieved, labels, masks, words, "achieved sparsity of the layer")
    ax.set_ylabel("layer, its share of the prunable weights")
    return ax


def overlap_map(
    ax: Axes, masks: Sequence[str], jaccard: Float[np.ndarray, "masks masks"]
) -> Axes:
    """Show the Jaccard index of the weights that each two masks drop.

    Parameters
    ----------
    ax
        Axes to draw on.
    masks
        Names, from the top and from the left.
    jaccard
        Shape (masks, masks), symmetric, in [0, 1]; NaN where it is not defined.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a colour bar beside it.
    """
    words = [
        ["–" if np.isnan(value) else f"{value:.2f}".lstrip("0") for value in line]
        for line in jaccard
    ]
    labels = [plain(shorten(name, 22)) for name in masks]
    _map(ax, jaccard, labels, masks, words, "Jaccard index")
    return ax


def _map(
    ax: Axes,
    values: Float[np.ndarray, "lines columns"],
    labels: Sequence[str],
    columns: Sequence[str],
    words: Sequence[Sequence[str]],
    quantity: str,
) -> None:
    image = ax.imshow(
        values, aspect="auto", vmin=0, vmax=1, cmap="cividis", interpolation="nearest"
    )
    many = len(labels) > _MOST_NUMBERS
    ax.set_yticks(range(len(labels)), labels, fontsize=4 if many else 6.5)
    ax.set_xticks(
        range(len(columns)),
        [plain(shorten(name, 22)) for name in columns],
        fontsize=6.5,
        rotation=40,
        ha="right",
        rotation_mode="anchor",
    )
    ax.tick_params(length=0)
    if not many and len(columns) <= 12:
        for (line, column), value in np.ndenumerate(values):
            color = "black" if value >= 0.5 or np.isnan(value) else "white"
            look = {"fontsize": 6.5, "color": color, "ha": "center", "va": "center"}
            ax.text(column, line, str(words[line][column]), **look)
    ax.figure.colorbar(image, ax=ax, label=quantity, shrink=0.8, pad=0.02, aspect=30)
