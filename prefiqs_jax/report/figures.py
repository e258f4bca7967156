"""Draw the figures of a run, for its report or the columns of a paper."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots import Drawing, Tile
from prefiqs_jax.plots.alt import ends, ends_of_each, extremes
from prefiqs_jax.plots.run_figure import RunFigure
from prefiqs_jax.plugins import held_by_files
from prefiqs_jax.report.tables import layer_matrix
from prefiqs_jax.statistics import STATISTICS

if TYPE_CHECKING:
    import pandas as pd

_FIGURES: Sequence[RunFigure] = held_by_files("prefiqs_jax.plots", "FIGURE")

_FACES_ACROSS = 4
_CALLED = [(name, name.replace("_", " ")) for name in STATISTICS]


class Sizes(NamedTuple):
    """How large figures are, in inches; what is not here fits its content."""

    width: float
    highest: float
    """Most height of a figure with a line for each layer."""


ON_SCREEN = Sizes(plots.SCREEN_IN, 12.0)
IN_PRINT = Sizes(plots.COLUMN_IN, 9.0)


def draw_figures(
    tables: "Mapping[str, pd.DataFrame]",
    sizes: Sizes = ON_SCREEN,
    *,
    change: str | None = None,
    kinds: Mapping[str, str] | None = None,
    depth: Sequence[str] = (),
) -> list[Drawing]:
    """Draw every figure of a run's tables. Call inside ``plots.theme()``.

    Tables are those of :func:`prefiqs_jax.report.tables.run_tables`; layers may be
    empty, and strata missing. Of a change of the weights that is no mask, given by its
    name, there are no curves over sparsity. Kinds are those of
    :func:`prefiqs_jax.report.on_request.kinds_of`; depth is the order of the layers.
    """
    images, statistics = tables["images"], tables["statistics"]
    # Where only rounding moved, a point would show rounding.
    moved = images.loc[~images["below_rounding"]]
    drawings = []
    if change is None:
        drawings.append(_relative(tables, sizes))
    if len(moved):
        drawings.append(_scatter(moved, kinds, sizes))
    # Of the files of plots/ that have one; a new one needs no line here.
    drawings += [
        figure.drawing(tables, (sizes.width, 0.68 * sizes.width))
        for figure in _FIGURES
        if change is None or figure.of_changes
    ]
    if change is None:
        drawings.append(draw_agreement([statistics], sizes=sizes))
        if "strata" in tables:
            drawings.append(_strata(statistics, tables["strata"], sizes))
    layers = tables["layers"]
    if change is not None:
        # What was counted, and not asked for, has six digits.
        layers = layers.loc[layers["achieved_sparsity"] > 0].round({"sparsity": 3})
    if len(layers):
        drawings.append(draw_layers(layers, sizes, depth))
    return drawings


def _relative(tables: "Mapping[str, pd.DataFrame]", sizes: Sizes) -> Drawing:
    figure = Figure(figsize=(sizes.width, 0.62 * sizes.width))
    names = ("quantiles", "statistics", "reach", "mask")
    return Drawing(
        "relative_residual",
        plots.relative_residual_panels(figure, *(tables[name] for name in names)),
        "Relative residual against sparsity and against the change of the weights",
        "The part of the embedding's change that the first order misses, in norm and "
        "direction together. Line: median over the images, whiskers its 95 % interval; "
        "bands: 25th to 75th and 5th to 95th percentile of the images. At the solid "
        "line, 1, predicting no change at all would do as well; dashed: 10 %. Diamond: "
        "sparsity up to which 95 % of the images are within 10 %, with its interval. "
        "Along one direction curvature has slope 1 (a remainder of order 2), many "
        "activations that change sign have ½ (order 1.5); sparsities differ in "
        "direction, too.",
        f"Median relative residual: {ends(_of(tables['statistics']), 'value')}.",
        names,
    )


def _of(table: "pd.DataFrame") -> "pd.DataFrame":
    """Take the lines of the median relative residual."""
    return table.loc[table["statistic"] == "median_relative_residual"]


def _scatter(
    rows: "pd.DataFrame", kinds: Mapping[str, str] | None, sizes: Sizes
) -> Drawing:
    degraded = None
    if kinds is not None:
        degraded = np.array([kinds.get(n) == "degraded" for n in rows["image"]])
    ratio = (rows["drift"] / rows["first_order"]).where(rows["first_order"] > 0)
    ratio = rows[["sparsity"]].assign(drift=ratio)
    ratio = ratio.groupby("sparsity", as_index=False).median()
    figure = Figure(figsize=(sizes.width, sizes.width))
    return Drawing(
        "drift_against_first_order",
        plots.drift_scatter(figure, rows, degraded=degraded),
        "Drift against first order",
        "Each point is one image. On the dashed line the first order predicts exactly "
        "how far the embedding moves; which way it moves is not shown. Above the line "
        "it moves further than predicted. Below, the ratio of the two.",
        f"Median of drift over first order: {ends(ratio, 'drift')}.",
        ("images",),
    )


def draw_agreement(
    statistics: "Sequence[pd.DataFrame]",
    labels: Sequence[str] = (),
    sizes: Sizes = ON_SCREEN,
) -> Drawing:
    """Draw every statistic over sparsity, of one run or of several with their names."""
    figure = Figure(figsize=(sizes.width, 3.7))
    return Drawing(
        "statistics_against_sparsity",
        plots.agreement_panels(figure, statistics, labels),
        "Agreement of first order and drift against sparsity",
        "Points are the value over all images, whiskers the 95 % interval, "
        "each by itself. The dashed line is the value of an exact first order. Rank "
        "says which images move most, norm how far, direction which way; only the "
        "relative residual asks for all of it.",
        " ".join(
            f"{label}{ends_of_each(table, 'statistic', 'value', _CALLED)}"
            for label, table in zip(
                [f"{name}: " for name in labels] or [""], statistics, strict=True
            )
        ),
        ("statistics",),
    )


def _strata(pooled: "pd.DataFrame", strata: "pd.DataFrame", sizes: Sizes) -> Drawing:
    column = strata["strata"].iloc[0]
    figure = Figure(figsize=(sizes.width, sizes.width))
    chosen = strata.loc[strata["strata"] == column]
    return Drawing(
        "strata_against_sparsity",
        plots.strata_panels(figure, pooled, chosen),
        f"Agreement within strata of {column}",
        "Points are the value over the images of a stratum, whiskers the 95 % "
        "interval, each by itself; in grey all images pooled.",
        f"Median relative residual. {ends_of_each(_of(chosen), 'stratum', 'value')}",
        ("strata", "statistics"),
    )


def draw_layers(
    layers: "pd.DataFrame", sizes: Sizes = ON_SCREEN, depth: Sequence[str] = ()
) -> Drawing:
    """Draw the sparsity of each layer at each sparsity of the whole network."""
    names, weight_counts, sparsities, achieved = layer_matrix(layers, depth)
    middle = sparsities[len(sparsities) // 2]
    at = layers.loc[layers["sparsity"] == middle]
    # High enough for the words beside it.
    height = min(sizes.highest, max(2.6, 1.2 + 0.135 * len(names)))
    figure = Figure(figsize=(sizes.width, height))
    plots.layer_sparsity_map(
        figure.add_subplot(), names, weight_counts, sparsities, achieved
    )
    return Drawing(
        "layer_sparsity",
        figure,
        "Which layers lose their weights",
        "Percentage of each layer's weights that are zero, at each sparsity of the "
        "network. The percentage beside a layer is its share of all prunable weights. "
        "The table has the norm of what each layer loses, too.",
        f"At sparsity {middle:g} layers lose "
        f"{extremes(at, 'achieved_sparsity', 'layer')} of their weights.",
        ("layers",),
    )


def draw_faces(
    faces: Mapping[str, Sequence[plots.Face]],
    note: str,
    sparsity: float,
    change: str | None = None,
) -> Drawing:
    """Draw the faces that pruning to a sparsity, or a change, moves least and most."""
    figure = plots.stability_grid(
        Figure(figsize=(plots.SCREEN_IN, 2)),
        faces["most stable"],
        faces["least stable"],
        sparsity=sparsity,
        columns=_FACES_ACROSS,
        change=change,
    )
    what = f"pruning to sparsity {sparsity:g}" if change is None else change
    return Drawing(
        "most_and_least_stable_faces",
        figure,
        "Most and least stable faces",
        f"The images that {what} moves least and most. "
        f"Quality is 1 - drift / 2. {note}".strip(),
        "Grid of face images with quality and drift under each.",
        ("faces",),
        tiles=[
            (
                f"{end.capitalize()}, {order} drift first",
                [
                    Tile(
                        face.pixels,
                        face.name,
                        (f"quality {face.quality:.3f}", f"drift {face.drift:.3f}"),
                    )
                    for face in faces[end]
                ],
            )
            for end, order in (("most stable", "smallest"), ("least stable", "largest"))
            if faces[end]
        ],
    )


def draw_worst(worst: "Mapping[str, Sequence[plots.MissedFace]]") -> Drawing:
    """Draw the faces that the first order predicts worst, by heading."""
    figure = Figure(figsize=(plots.SCREEN_IN, 2))
    return Drawing(
        "worst_predicted_faces",
        plots.worst_faces(figure, worst, columns=_FACES_ACROSS),
        "Faces that the first order predicts worst",
        "The images with the largest relative residual, the largest first; clean and "
        "degraded ones apart where their severity is known.",
        "Face images with relative residual and drift.",
        ("worst_faces",),
        tiles=missed_tiles(worst),
    )


def missed_tiles(
    worst: "Mapping[str, Sequence[plots.MissedFace]]",
) -> list[tuple[str, list[Tile]]]:
    """Give the faces of :func:`prefiqs_jax.plots.worst_faces` for the page."""
    return [
        (
            heading,
            [
                Tile(
                    face.pixels,
                    face.name,
                    (
                        f"residual {face.relative_residual:.2f}",
                        f"drift {face.drift:.2f}",
                    ),
                )
                for face in faces
            ],
        )
        for heading, faces in worst.items()
    ]
