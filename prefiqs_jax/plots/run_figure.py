"""A figure of every run's report: what draws it, from which table, and its words."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefiqs_jax.plots.saving import Drawing

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class RunFigure:
    """One pair of axes, drawn from one table of a run.

    Attributes
    ----------
    draw
        Draws a table on axes and returns these; the figure's files have its name.
    table
        Which: ``images`` (the rows), ``statistics``, ``quantiles``, ``mask`` or
        ``layers``; see :func:`prefiqs_jax.report.tables.run_tables`.
    title, caption, alt
        Words of the page; ``alt`` describes it to those who cannot see it.
    of_changes
        Whether it is drawn of a change of the weights that is no mask, too, which has
        no sparsities.
    """

    draw: "Callable[[Axes, pd.DataFrame], Axes]"
    table: str
    title: str
    caption: str
    alt: str
    of_changes: bool = False

    def drawing(
        self, tables: "Mapping[str, pd.DataFrame]", size: tuple[float, float]
    ) -> Drawing:
        """Draw it from a run's tables on a figure of a size in inches."""
        figure = Figure(figsize=size)
        self.draw(figure.add_subplot(), tables[self.table])
        name = self.draw.__name__
        words = (self.title, self.caption, self.alt)
        return Drawing(name, figure, *words, (self.table,))
