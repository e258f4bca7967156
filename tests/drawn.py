"""What stands for ``plots.saving.render``, which takes most of a page's time."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

RENDER = "prefiqs_jax.plots.saving.render"


def nothing(figure: Figure) -> tuple[bytes, bytes]:
    """Give one small picture for every figure."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 3)).save(stream, "png")
    return stream.getvalue(), b"pdf"


def png_alone(figure: Figure) -> tuple[bytes, bytes]:
    """Draw the PNG; the PDF takes half of the time."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue(), b"pdf"
