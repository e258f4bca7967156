"""The faces that the first order predicts worst, one line for each mask."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import plain, shorten


class MissedFace(NamedTuple):
    """One image, and how much of its change the first order misses."""

    pixels: np.ndarray
    """Shape (height, width, 3) RGB, uint8."""
    name: str
    relative_residual: float
    drift: float


_HEAD_IN = 0.2
_WORDS_IN = 0.36


def worst_faces(
    figure: Figure, faces: Mapping[str, Sequence[MissedFace]], *, columns: int = 6
) -> Figure:
    """Fill a figure with faces: a line for each mask, the worst predicted first.

    Parameters
    ----------
    figure
        Empty figure.
    faces
        Heading of a line to its faces.
    columns
        Faces side by side; more go on below.
    """
    width = figure.get_figwidth()
    tile = width / columns
    # Three lines of words of a height that is legible in the width of the tile.
    size = float(np.clip(7.5 * tile, 5.5, 7))
    words_in = _WORDS_IN * size / 5.5
    lines = {heading: -(-len(its) // columns) for heading, its in faces.items()}
    height = sum(_HEAD_IN + n * (tile + words_in) for n in lines.values()) or tile
    figure.set_figheight(height)
    # One pair of axes in inches: axes for each image would take seconds.
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1), frame_on=False)
    ax.set(xticks=[], yticks=[])
    top = height
    for heading, its in faces.items():
        ax.text(0.04, top - 0.15, plain(heading), fontsize=7.5, weight="bold")
        for place, face in enumerate(its):
            line, column = divmod(place, columns)
            left, upper = column * tile, top - _HEAD_IN - line * (tile + words_in)
            extent = (left + 0.03, left + tile - 0.03, upper - tile + 0.06, upper)
            ax.imshow(face.pixels, extent=extent, interpolation="lanczos")
            words = (
                f"{plain(shorten(face.name, max(13, round(15 * tile))))}\n"
                f"residual {face.relative_residual:.2f}\ndrift {face.drift:.2f}"
            )
            at = (left + tile / 2, upper - tile + 0.03)
            ax.text(*at, words, fontsize=size, ha="center", va="top", linespacing=1.05)
        top -= _HEAD_IN + lines[heading] * (tile + words_in)
    # An image sets the limits and the aspect to its own.
    ax.set(xlim=(0, width), ylim=(0, height), aspect="auto")
    return figure
