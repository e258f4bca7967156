"""Which layers lose their weights: a heat map of achieved sparsity."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from prefiqs_jax.plots.labels import SPARSITY, level_tick, plain, shorten

_MOST_NUMBERS = 9
"""Sparsities beside each other whose numbers are legible."""


def layer_sparsity_map(
    ax: Axes,
    names: Sequence[str],
    sizes: Sequence[int],
    sparsities: Sequence[float],
    achieved: Float[np.ndarray, "layers sparsities"],
) -> Axes:
    """Show the achieved sparsity of every layer at every sparsity asked for.

    Parameters
    ----------
    ax
        Axes to draw on.
    names, sizes
        Name and number of weights of each layer, from the top.
    sparsities
        Sparsities asked for, over the whole network.
    achieved
        Shape (layers, sparsities), counted, in [0, 1].

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a colour bar beside it.
    """
    image = ax.imshow(
        achieved, aspect="auto", vmin=0, vmax=1, cmap="cividis", interpolation="nearest"
    )
    share = np.asarray(sizes, np.float64) / max(sum(sizes), 1)
    labels = [
        f"{plain(shorten(name, 24))}  {100 * part:.1f} %"
        for name, part in zip(names, share, strict=True)
    ]
    size = 6.5 if len(names) <= 60 else 4
    ax.set_yticks(range(len(names)), labels, fontsize=size)
    reached = (share @ achieved).tolist()
    ticks = [level_tick(s, r) for s, r in zip(sparsities, reached, strict=True)]
    ax.set_xticks(range(len(sparsities)), ticks)
    ax.tick_params(length=0)
    ax.set(xlabel=SPARSITY, ylabel="layer and its share of the prunable weights")
    # Numbers only where they are legible; the table has them all.
    if len(names) <= 60 and len(sparsities) <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(achieved):
            look = {"fontsize": 6, "color": "white" if value < 0.5 else "black"}
            ax.text(column, row, f"{100 * value:.0f}", ha="center", va="center", **look)
    bar = {"label": "achieved sparsity of the layer (%)", "shrink": 0.6}
    ax.figure.colorbar(image, ax=ax, format=PercentFormatter(1, symbol=""), **bar)
    return ax
