"""Figures that every sweep has: those of its report, at the width of a column."""

from collections.abc import Iterator

from paper_figures.record import COLUMN_IN, Drawn, Item, Missing
from paper_figures.runs import Material, Sweep
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.report.figures import Sizes, draw_figures

IN_PRINT = Sizes(COLUMN_IN, 9.0)


def each_sweep(material: Material) -> tuple[Sweep, ...]:
    """Give the sweeps; Missing if there are none."""
    if not material.sweeps:
        message = "no folder of prefiqs sweep is given"
        raise Missing(message)
    return material.sweeps


def of_each_sweep(name: str, drawing: str) -> Item:
    """Make the item of a figure that the report of every sweep has.

    Parameters
    ----------
    name
        Of the item; files end in that of the run.
    drawing
        Name of the figure in the report.
    """

    def make(material: Material) -> Iterator[Drawn]:
        for sweep in each_sweep(material):
            drawings = draw_figures(sweep.tables, IN_PRINT, kinds=sweep.kinds)
            for found in drawings:
                if found.name != drawing:
                    continue
                caption = f"{sweep.label}. {found.caption}"
                named = as_folder(f"{name}_{sweep.name}")
                several = len(found.tables) > 1
                data = {
                    table if several else "": sweep.tables[table]
                    for table in found.tables
                }
                yield Drawn(found._replace(name=named, caption=caption), data)

    return Item(name, make)
