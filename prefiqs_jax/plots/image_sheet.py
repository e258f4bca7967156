"""Sheet of images in rows and columns, with words at the left and at the top."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import plain

# Between images, in widths of one.
_GAP = 0.05


def image_sheet(
    figure: Figure,
    images: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    label_in: float = 0.9,
    blocks: int = 1,
) -> Figure:
    """Fill a figure with images.

    Parameters
    ----------
    figure
        Empty figure.
    images
        Shape (rows, columns, height, width, 3), uint8, RGB.
    rows, columns
        Words at the left of each row and on top of each column; may be empty.
    label_in
        Room for the words of the rows, inches.
    blocks
        Parts of the sheet, of some rows each, that stand side by side.

    Raises
    ------
    ValueError
        If the words are not as many as the rows or columns.

    Examples
    --------
    >>> sheet = np.zeros((2, 3, 8, 8, 3), np.uint8)
    >>> figure = image_sheet(Figure(), sheet, rows=list("ab"), columns=list("xyz"))
    >>> [text.get_text() for text in figure.texts]
    ['x', 'y', 'z', 'a', 'b']
    """
    if len(rows) != images.shape[0] or len(columns) != images.shape[1]:
        message = (
            f"{len(rows)} × {len(columns)} words for {images.shape[0]} × "
            f"{images.shape[1]} images"
        )
        raise ValueError(message)
    width = figure.get_figwidth()
    label = label_in if any(rows) else 0.0
    top = 0.22 if any(columns) else 0.0
    tile = (width / blocks - label) / len(columns)
    lines = math.ceil(len(rows) / blocks)
    height = top + tile * lines
    figure.set_figheight(height)
    # Placed by hand, one image a block: axes for each image would take seconds.
    figure.set_layout_engine("none")
    for block in range(blocks):
        chosen = slice(block * lines, (block + 1) * lines)
        left = block * width / blocks + label
        part = _tiled(images[chosen])
        part_in = (tile * len(columns), tile * len(images[chosen]))
        box = (left, height - top - part_in[1], *part_in)
        ax = figure.add_axes(
            tuple(np.divide(box, (width, height, width, height))), frame_on=False
        )
        ax.imshow(part, interpolation="lanczos", aspect="auto")
        ax.set(xticks=[], yticks=[])
        for column, words in enumerate(columns):
            at = ((left + (column + 0.5) * tile) / width, 1 - 0.16 / height)
            figure.text(*at, plain(words), ha="center", va="baseline", fontsize=7)
        for line, words in enumerate(rows[chosen]):
            down = top + (line + 0.5) * tile
            at = ((left - 0.08) / width, 1 - down / height)
            figure.text(*at, plain(words), ha="right", va="center", fontsize=7)
    return figure


def _tiled(images: np.ndarray) -> np.ndarray:
    """Lay images (rows, columns, height, width, 3) out as one, white between them."""
    rows, columns, height, width, channels = images.shape
    gap = max(1, round(_GAP * width))
    framed = np.full(
        (rows, columns, height + gap, width + gap, channels), 255, np.uint8
    )
    framed[:, :, :height, :width] = images
    shape = (rows * (height + gap), columns * (width + gap), channels)
    return framed.swapaxes(1, 2).reshape(shape)
