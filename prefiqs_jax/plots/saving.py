"""One record of a figure, and the files that it becomes."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Tile(NamedTuple):
    """An image of a figure that shows images, and what was measured on it."""

    pixels: np.ndarray
    """Shape (height, width, 3) RGB or (height, width) grey, uint8."""
    name: str
    scores: tuple[str, ...]


class Drawing(NamedTuple):
    """A figure, and the words and tables that go with it."""

    name: str
    """Name of its files, without extension."""
    figure: Figure
    title: str
    caption: str = ""
    alt: str = ""
    """What the figure shows, in words and numbers, for those who cannot see it."""
    tables: tuple[str, ...] = ()
    """Names of the tables that hold its numbers."""
    section: str = ""
    """Heading above it and its neighbours of the same section; none if empty."""
    tiles: Sequence[tuple[str, Sequence[Tile]]] = ()
    """Headings and images of a figure that shows images: a page has them as such."""


def figure_files(
    drawings: Iterable[Drawing],
    stem: str = "",
    on_progress: Callable[[int], object] | None = None,
) -> dict[str, bytes]:
    """Render figures as files. Call inside ``plots.theme()``.

    Parameters
    ----------
    drawings
        The figures.
    stem
        Start of every path, such as ``"figures/"``.
    on_progress
        Called with 1 after each figure.

    Returns
    -------
    dict
        Content of ``STEM + NAME.png`` and ``.pdf`` of each figure.
    """
    files = {}
    for drawing in drawings:
        png, pdf = render(drawing.figure)
        files[f"{stem}{drawing.name}.png"] = png
        files[f"{stem}{drawing.name}.pdf"] = pdf
        if on_progress is not None:
            on_progress(1)
    return files


def render(figure: Figure) -> tuple[bytes, bytes]:
    """Render a figure as PNG and PDF. Call inside ``plots.theme()``.

    Returns
    -------
    png, pdf
        Contents of the two files; the same figure gives the same bytes.
    """
    FigureCanvasAgg(figure)
    png, pdf = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png")
    # The layout is found; finding it again for the PDF costs as much as drawing.
    figure.set_layout_engine("none")
    # Vector pages keep an image's own pixels: smaller, and quicker than resampling.
    for ax in figure.axes:
        for image in ax.images:
            image.set_interpolation("none")
    figure.savefig(pdf, format="pdf", dpi=300, metadata={"CreationDate": None})
    return png.getvalue(), pdf.getvalue()
