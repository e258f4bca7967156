"""Words in the middle of axes, where there is nothing to draw or to conclude."""

from matplotlib.axes import Axes
from matplotlib.text import Text

from prefiqs_jax.plots.labels import plain


def note(ax: Axes, words: str) -> Text:
    """Write words in the middle of the axes, in front of what is drawn there.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> note(Figure().add_subplot(), "no errors").get_text()
    'no errors'
    """
    return ax.text(
        0.5,
        0.5,
        plain(words),
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=7,
        zorder=5,
        bbox={"fc": "white", "ec": "0.6", "lw": 0.5, "alpha": 0.85},
    )


def nothing_moved(ax: Axes) -> Axes:
    """Say on empty axes that every change is rounding; return the same axes."""
    ax.set(xticks=[], yticks=[])
    note(ax, "no change above rounding")
    return ax
