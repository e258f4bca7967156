"""Figures that every sweep has: those of its report, in the sizes of a paper."""

from collections.abc import Callable, Iterator

from matplotlib.figure import Figure

from paper_figures.record import COLUMN_IN, Drawn, Item, Missing
from paper_figures.runs import Material, Sweep
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.report.figures import Sizes, draw_figures

HIGHEST_IN = 9.0
"""Of a figure with a line for each layer."""


def each_sweep(material: Material) -> tuple[Sweep, ...]:
    """Give the sweeps; Missing if there are none."""
    if not material.sweeps:
        message = "no folder of prefiqs sweep is given"
        raise Missing(message)
    return material.sweeps


def of_each_sweep(
    name: str,
    drawing: str,
    adjust: Callable[[Figure], object] | None = None,
    width: float = COLUMN_IN,
) -> Item:
    """Make the item of a figure that the report of every sweep has.

    Parameters
    ----------
    name
        Name of the item; the files' names are it and the run's name.
    drawing
        Name of the figure in the report.
    adjust
        Fits what a report has more room for to the paper.
    width
        Inches.
    """

    def make(material: Material) -> Iterator[Drawn]:
        for sweep in each_sweep(material):
            drawings = draw_figures(
                sweep.tables, Sizes(width, HIGHEST_IN), kinds=sweep.kinds
            )
            for found in drawings:
                if found.name != drawing:
                    continue
                if adjust is not None:
                    adjust(found.figure)
                images = sweep.rows["image"].nunique()
                caption = f"{sweep.label}, n = {images} images. {found.caption}"
                named = as_folder(f"{name}_{sweep.name}")
                several = len(found.tables) > 1
                data = {
                    table if several else "": sweep.tables[table]
                    for table in found.tables
                }
                yield Drawn(found._replace(name=named, caption=caption), data)

    return Item(name, make)
