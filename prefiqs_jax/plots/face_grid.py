"""Grid of images with scores: the faces that pruning moves least and most."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.plots.labels import plain, shorten


class Face(NamedTuple):
    """One image and what was measured on it."""

    pixels: np.ndarray
    """Shape (height, width, 3) RGB or (height, width) grey, uint8."""
    name: str
    quality: float
    drift: float


def face_tile(ax: Axes, face: Face) -> Axes:
    """Show one image with its name, quality and drift under it.

    Parameters
    ----------
    ax
        Axes to draw on; loses its ticks and frame.
    face
        Image, name, quality and drift.
    """
    ax.imshow(face.pixels, cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_xlabel(
        f"{plain(shorten(face.name))}\n"
        f"quality {face.quality:.3f}\ndrift {face.drift:.3f}",
        fontsize=6.5,
        labelpad=2,
        linespacing=1.1,
    )
    return ax


def stability_grid(
    figure: Figure,
    most_stable: Sequence[Face],
    least_stable: Sequence[Face],
    *,
    sparsity: float,
    columns: int = 6,
    change: str | None = None,
) -> Figure:
    """Fill a figure with the most stable faces above the least stable.

    Parameters
    ----------
    figure
        Empty figure.
    most_stable, least_stable
        Faces, the most extreme first. A group without faces is left out.
    sparsity
        Sparsity at which quality and drift were measured.
    columns
        Images side by side.
    change
        Name of a change of the weights that is no mask, in place of the sparsity.
    """
    where = f"at sparsity {sparsity:g}"
    if change is not None:
        where = f"under {plain(shorten(change))}"
    groups = [
        (f"{word} stable {where} ({order} drift first)", faces)
        for word, order, faces in (
            ("most", "smallest", most_stable),
            ("least", "largest", least_stable),
        )
        if faces
    ]
    lines = [math.ceil(len(faces) / columns) for _, faces in groups]
    tile = figure.get_figwidth() / columns
    figure.set_figheight(sum(lines) * (tile + 0.37) + 0.22 * len(groups))
    parts = figure.subfigures(
        len(groups), 1, squeeze=False, height_ratios=lines, hspace=0
    )
    for part, line_count, (title, faces) in zip(
        parts.ravel(), lines, groups, strict=True
    ):
        part.suptitle(title, fontsize=8, x=0.01, ha="left")
        axes = part.subplots(line_count, columns, squeeze=False).ravel()
        for ax, face in zip(axes, faces, strict=False):
            face_tile(ax, face)
        # Places without a face keep their width, so that all faces are of one size.
        for ax in axes[len(faces) :]:
            ax.set_axis_off()
    return figure
