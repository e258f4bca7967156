"""What a run has to tell beyond its rows: lines, tables and figures for its report."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from prefiqs_jax.plots import Drawing

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Supplement:
    """Additions to a report.

    Attributes
    ----------
    lines
        Sentences at the head of the page, given the table of statistics.
    tables
        Written beside the others, by name.
    draw
        Draws figures that come before the others; called inside ``plots.theme()``.
    """

    lines: "Callable[[pd.DataFrame], Sequence[str]]"
    tables: "Mapping[str, pd.DataFrame]"
    draw: Callable[[], Sequence[Drawing]]
