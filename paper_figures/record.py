"""What a file of this folder makes: figures with their numbers, and tables."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_figures.runs import Material
from prefiqs_jax.plots import Drawing

COLUMN_IN, PAGE_IN = 3.25, 6.875
"""Widths of one column and of both, inches, in the style of CVPR."""
Better: TypeAlias = Literal["lower", "higher", ""]


class Missing(Exception):
    """No run has what a figure or table needs; the message says what that is."""


class Drawn(NamedTuple):
    """A figure, and the tables that hold its numbers."""

    drawing: Drawing
    data: Mapping[str, pd.DataFrame]
    """By the end of the file's name; empty for the figure's own."""


class Column(NamedTuple):
    """A column of numbers."""

    title: str
    value: NDArray[np.float64]
    """Shape (rows,); NaN where there is none."""
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    better: Better = ""
    """Which end is the better one: it has an arrow, and its best is bold."""
    digits: int = 3


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: labels of its rows, and columns of numbers with intervals."""

    name: str
    caption: str
    heads: tuple[str, ...]
    """Titles of the columns of labels."""
    labels: Sequence[tuple[str, ...]]
    columns: Sequence[Column]
    unranked: frozenset[int] = frozenset()
    """Rows that cannot be the best, such as what is known of degraded copies."""
    ranked: bool = True
    """Whether the best of a column is bold; not where rows cannot be compared."""

    def best(self, column: Column) -> NDArray[np.bool_]:
        """Mark the best rows of a column, those that tie as printed included."""
        sign = {"lower": 1, "higher": -1, "": 0}[column.better] * self.ranked
        shown = sign * np.round(column.value, column.digits)
        shown[list(self.unranked)] = np.nan
        if not sign or np.isfinite(shown).sum() < 2:
            return np.zeros(len(shown), np.bool_)
        return shown == np.nanmin(shown)


@dataclasses.dataclass(frozen=True)
class Item:
    """A figure or table of the paper: its name, and how it is made from runs.

    ``make`` raises :class:`Missing` where no run has what it needs.
    """

    name: str
    make: Callable[[Material], Iterable[Drawn | Table]]
