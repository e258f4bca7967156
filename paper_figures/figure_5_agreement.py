"""Agreement of drift and first order against sparsity, all runs on the same axes."""

from collections.abc import Iterator

import pandas as pd

from paper_figures.record import COLUMN_IN, PAGE_IN, Drawn, Item
from paper_figures.runs import Material
from paper_figures.sweeps import each_sweep
from prefiqs_jax.report.figures import Sizes, draw_agreement


def make(material: Material) -> Iterator[Drawn]:
    """Draw one figure: of one run in a column, of several across the page."""
    sweeps = each_sweep(material)
    labels = [sweep.label for sweep in sweeps]
    if len(set(labels)) < len(labels):
        labels = [sweep.name for sweep in sweeps]
    tables = [sweep.tables["statistics"] for sweep in sweeps]
    width = COLUMN_IN if len(sweeps) == 1 else PAGE_IN
    drawing = draw_agreement(tables, labels, Sizes(width, 9.0))
    names = [sweep.name for sweep in sweeps]
    data = pd.concat(tables, keys=names, names=["run"]).reset_index("run")
    caption = drawing.caption
    if len(sweeps) == 1:
        caption = f"{labels[0]}. {caption}"
    yield Drawn(
        drawing._replace(name="figure_5_agreement", caption=caption), {"": data}
    )


ITEM = Item("figure_5_agreement", make)
