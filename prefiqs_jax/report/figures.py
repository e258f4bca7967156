"""Draw the figures of a run, for its report or the columns of a paper."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots import Drawing
from prefiqs_jax.plots.run_figure import RunFigure
from prefiqs_jax.plugins import held_by_files
from prefiqs_jax.report.faces import StableFaces
from prefiqs_jax.report.tables import layer_matrix

if TYPE_CHECKING:
    import pandas as pd

_FIGURES: Sequence[RunFigure] = held_by_files("prefiqs_jax.plots", "FIGURE")


class Sizes(NamedTuple):
    """How large figures are, in inches; what is not here fits its content."""

    curve: tuple[float, float]
    violins: tuple[float, float]
    highest: float
    """Most height of the map of layers."""


ON_SCREEN = Sizes((4.6, 3.1), (plots.PAGE_IN, 2.9), 12.0)
IN_PRINT = Sizes((plots.COLUMN_IN, 2.7), (plots.COLUMN_IN, 2.4), 9.0)


def draw_figures(
    tables: "Mapping[str, pd.DataFrame]",
    sizes: Sizes = ON_SCREEN,
    *,
    change: str | None = None,
) -> list[Drawing]:
    """Draw every figure of a run's tables. Call inside ``plots.theme()``.

    Tables are those of :func:`prefiqs_jax.report.tables.run_tables`; layers may be
    empty. Of a change of the weights that is no mask, given by its name, there are no
    curves over sparsity.
    """
    images, statistics = tables["images"], tables["statistics"]
    # Where only rounding moved, a panel would show rounding.
    moved = images.loc[~images["below_rounding"]]
    drawings = []
    if change is None:
        drawings.append(_relative(tables["quantiles"], statistics, sizes))
    if len(moved):
        drawings.append(_scatter(moved, statistics, change))
    if change is None:
        drawings.append(draw_agreement([statistics]))
        # Of the files of plots/ that have one; a new one needs no line here.
        drawings += [figure.drawing(tables, sizes.curve) for figure in _FIGURES]
    drawings.append(_distribution(images, sizes, change))
    layers = tables["layers"]
    if change is not None:
        # What was counted, and not asked for, has six digits.
        layers = layers.loc[layers["achieved_sparsity"] > 0].round({"sparsity": 3})
    if len(layers):
        drawings.append(draw_layers(layers, sizes))
    return drawings


def _relative(
    quantiles: "pd.DataFrame", statistics: "pd.DataFrame", sizes: Sizes
) -> Drawing:
    figure = Figure(figsize=sizes.curve)
    plots.relative_residual_against_sparsity(
        figure.add_subplot(), quantiles, statistics
    )
    return Drawing(
        "relative_residual",
        figure,
        "Relative residual against sparsity",
        "The part of the embedding's change that the first order misses, in norm and "
        "direction together. Line: median over the images, whiskers its 95 % interval; "
        "band: 5th to 95th percentile of the images. At the dashed line, 1, predicting "
        "no change at all would do as well.",
        "Line plot of the median relative residual over sparsity.",
        ("statistics", "quantiles"),
    )


def _scatter(
    rows: "pd.DataFrame", statistics: "pd.DataFrame", change: str | None
) -> Drawing:
    figure = Figure(figsize=(plots.PAGE_IN, 2))
    return Drawing(
        "drift_against_first_order",
        plots.drift_panels(figure, rows, statistics, change=change),
        "Drift against first order",
        "Each point is one image. On the dashed line y = x the first order predicts "
        "how far the embedding moves exactly; which way it moves is not shown. Above "
        "the line it moves further than predicted. Colour is the density of "
        "images, relative to the densest place of the panel. The axes of the panels "
        "differ.",
        "Scatter plots of drift over first-order drift, one panel per sparsity, each "
        "with the line y = x.",
        ("images", "statistics"),
    )


def draw_agreement(
    statistics: "Sequence[pd.DataFrame]", labels: Sequence[str] = ()
) -> Drawing:
    """Draw every statistic over sparsity, of one run or of several with their names."""
    figure = Figure(figsize=(plots.PAGE_IN, 3.7))
    return Drawing(
        "statistics_against_sparsity",
        plots.agreement_panels(figure, statistics, labels),
        "Each statistic against sparsity",
        "Points are the value over all images, bands and whiskers the 95 % interval. "
        "The dashed line is the value of an exact first order. Rank says which images "
        "move most, norm how far, direction which way; only the relative residual asks "
        "for all of it.",
        "Line plots over sparsity: median relative residual, Spearman, Kendall, "
        "Pearson, slope, median error of the norm and mean cosine, with intervals.",
        ("statistics",),
    )


def _distribution(images: "pd.DataFrame", sizes: Sizes, change: str | None) -> Drawing:
    figure = Figure(figsize=sizes.violins)
    plots.drift_distribution(figure.add_subplot(), images, change=change)
    return Drawing(
        "distribution_of_drift",
        figure,
        "Distribution of drift",
        "Violins are kernel densities of the logarithm of drift, all of one width; "
        "the lines inside are the median, dashed, and the quartiles, dotted. Changes "
        "that are rounding only are left out.",
        "Violin plot of drift on a logarithmic axis, one violin per sparsity.",
        ("images", "quantiles"),
    )


def draw_layers(layers: "pd.DataFrame", sizes: Sizes = ON_SCREEN) -> Drawing:
    """Draw the sparsity of each layer at each sparsity of the whole network."""
    names, weight_counts, sparsities, achieved = layer_matrix(layers)
    height = min(sizes.highest, 1.2 + 0.135 * len(names))
    figure = Figure(figsize=(plots.PAGE_IN, height))
    plots.layer_sparsity_map(
        figure.add_subplot(), names, weight_counts, sparsities, achieved
    )
    return Drawing(
        "layer_sparsity",
        figure,
        "Which layers lose their weights",
        "Fraction of each layer's weights that is zero, at each sparsity of the whole "
        "network. The percentage beside a layer is its share of all prunable weights. "
        "The table has the norm of what each layer loses, too.",
        "Heat map of achieved sparsity, layers by sparsities.",
        ("layers",),
    )


def draw_faces(
    faces: StableFaces, sparsity: float, change: str | None = None
) -> Drawing:
    """Draw the faces that pruning to a sparsity, or a change, moves least and most."""
    figure = plots.stability_grid(
        Figure(figsize=(plots.PAGE_IN, 2)),
        faces.most_stable,
        faces.least_stable,
        sparsity=sparsity,
        change=change,
    )
    what = f"pruning to sparsity {sparsity:g}" if change is None else change
    return Drawing(
        "most_and_least_stable_faces",
        figure,
        "Most and least stable faces",
        f"The images that {what} moves least and most. "
        f"Quality is 1 - drift / 2. {faces.note}".strip(),
        "Grid of face images with quality and drift under each.",
        ("faces",),
    )
