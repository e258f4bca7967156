"""Scores that other programs wrote: one number for each of their images."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

Direction: TypeAlias = Literal["higher", "lower"]
"""Which scores are the better ones."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """The rows of a score file, in its order, as they stand there."""

    source: Path
    """The file."""
    kind: str
    """What it was taken for, in words."""
    names: tuple[str, ...]
    """What the file calls its images: paths on somebody's disk, or parts of them."""
    values: Float[np.ndarray, " rows"]
    """Shape (rows,), float64; whatever the file says, NaN and infinities included."""
    method: str | None = None
    """The method of quality assessment, where the file tells."""
    direction: Direction | None = None
    """As the file declares by its form; None if it does not tell."""
    column: str | None = None
    """The column that was read, of a table with named columns."""
    columns: tuple[str, ...] = ()
    """All columns that hold numbers, of a table with named columns."""
    notes: tuple[str, ...] = ()
    """What the user should know, one line each."""
