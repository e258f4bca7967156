"""Turn a figure into files' contents."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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
    # Vector pages keep a picture's own pixels: smaller, and quicker than resampling.
    for ax in figure.axes:
        for picture in ax.images:
            picture.set_interpolation("none")
    figure.savefig(pdf, format="pdf", dpi=300, metadata={"CreationDate": None})
    return png.getvalue(), pdf.getvalue()
