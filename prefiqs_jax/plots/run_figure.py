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
    title, caption
        Words of the page.
    alt
        What it shows, for those who cannot see it: words, or a function that makes them
        from the numbers of the table.
    of_changes
        Whether it is drawn of a change of the weights that is no mask, too, which has
        no sparsities.
    """

    draw: "Callable[[Axes, pd.DataFrame], Axes]"
    table: str
    title: str
    caption: str
    alt: "str | Callable[[pd.DataFrame], str]"
    of_changes: bool = False

    def drawing(
        self, tables: "Mapping[str, pd.DataFrame]", size: tuple[float, float]
    ) -> Drawing:
        """Draw it from a run's tables on a figure of a size in inches."""
        figure = Figure(figsize=size)
        table = tables[self.table]
        self.draw(figure.add_subplot(), table)
        name = self.draw.__name__
        alt = self.alt if isinstance(self.alt, str) else self.alt(table)
        words = (self.title, self.caption, alt)
        return Drawing(name, figure, *words, (self.table,))
