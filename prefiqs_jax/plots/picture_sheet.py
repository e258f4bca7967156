"""Sheet of pictures in rows and columns, with words at the left and at the top."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import plain


def picture_sheet(
    figure: Figure,
    pictures: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    label_in: float = 0.9,
    blocks: int = 1,
) -> Figure:
    """Fill a figure with pictures.

    Parameters
    ----------
    figure
        Empty figure; its height is set to fit, its width stays.
    pictures
        Shape (rows, columns, height, width, 3), uint8, RGB.
    rows, columns
        Words at the left of each row and on top of each column; may be empty.
    label_in
        Room for the words of the rows, inches.
    blocks
        Parts of the sheet, of some rows each, that stand side by side.

    Returns
    -------
    matplotlib.figure.Figure
        The same figure.

    Raises
    ------
    ValueError
        If the words are not as many as the rows or columns.

    Examples
    --------
    >>> sheet = np.zeros((2, 3, 8, 8, 3), np.uint8)
    >>> figure = picture_sheet(Figure(), sheet, rows=list("ab"), columns=list("xyz"))
    >>> len(figure.axes)
    6
    """
    if len(rows) != pictures.shape[0] or len(columns) != pictures.shape[1]:
        message = (
            f"{len(rows)} × {len(columns)} words for {pictures.shape[0]} × "
            f"{pictures.shape[1]} pictures"
        )
        raise ValueError(message)
    width = figure.get_figwidth()
    label = label_in if any(rows) else 0.0
    top = 0.22 if any(columns) else 0.0
    tile = (width / blocks - label) / len(columns)
    lines = math.ceil(len(rows) / blocks)
    height = top + tile * lines
    figure.set_figheight(height)
    # Placed by hand: a layout engine takes seconds for a hundred axes.
    figure.set_layout_engine("none")
    side = tile - 0.03
    for row, words in enumerate(rows):
        block, line = divmod(row, lines)
        start = block * width / blocks + label
        bottom = height - top - (line + 1) * tile
        for column, picture in enumerate(pictures[row]):
            box = (start + column * tile, bottom, side, side)
            ax = figure.add_axes(
                tuple(np.divide(box, (width, height, width, height))), frame_on=False
            )
            ax.imshow(picture, interpolation="lanczos")
            ax.set(xticks=[], yticks=[])
            if line == 0:
                ax.set_title(plain(columns[column]), pad=3, fontsize=7)
        middle = ((start - 0.08) / width, (bottom + 0.5 * side) / height)
        figure.text(*middle, plain(words), ha="right", va="center", fontsize=7)
    return figure
