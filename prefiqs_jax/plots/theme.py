"""The look of every figure, as a context: nothing outside it changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler

COLUMN_IN = 3.5
"""Width of one column of an IEEE page, inches."""
PAGE_IN = 7.16
"""Width of both columns of an IEEE page, inches."""
SCREEN_IN = 4.4
"""Width of figures of a page: on 400 px their words are still 9 px high."""

# Okabe & Ito (2008), Color Universal Design, but yellow, which white paper hides.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
# Lines must be told apart without colour, where they are too dense for markers.
LINES = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (8, 1.5)))
GREY = "0.35"
DENSITY_MAP = "viridis"

_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "image.cmap": DENSITY_MAP,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    # Text stays text in the PDF: searchable, and no Type 3 fonts, which IEEE refuses.
    "pdf.fonttype": 42,
    "mathtext.fontset": "dejavusans",
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw and save with the house style inside ``with theme():``.

    Examples
    --------
    >>> with theme():
    ...     mpl.rcParams["font.size"]
    8.0
    """
    with mpl.rc_context(_STYLE):
        yield


def look(place: int) -> dict[str, Any]:
    """Give colour and marker of the nth curve; they differ for 36 of them.

    >>> look(1)
    {'color': '#D55E00', 'marker': 's'}
    """
    marker = MARKERS[(place + place // len(CYCLE)) % len(MARKERS)]
    return {"color": CYCLE[place % len(CYCLE)], "marker": marker}
