"""One record of a figure, and the files that it becomes."""

import io
from collections.abc import Iterable
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Drawing(NamedTuple):
    """A figure, and the words and tables that go with it."""

    name: str
    """Name of its files, without extension."""
    figure: Figure
    title: str
    caption: str = ""
    alt: str = ""
    tables: tuple[str, ...] = ()
    """Names of the tables that hold its numbers."""
    section: str = ""
    """Heading above it and its neighbours of the same section; none if empty."""


def figure_files(drawings: Iterable[Drawing], stem: str = "") -> dict[str, bytes]:
    """Render figures as files. Call inside ``plots.theme()``.

    Parameters
    ----------
    drawings
        The figures.
    stem
        Start of every path, such as ``"figures/"``.

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
