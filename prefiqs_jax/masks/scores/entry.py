"""The record of a score: what ranks the weights, and where it comes from."""

import dataclasses
from collections.abc import Callable

from prefiqs_jax.types import Score


@dataclasses.dataclass(frozen=True)
class ScoreEntry:
    """A score that ``--mask ALLOCATION/NAME`` knows.

    Attributes
    ----------
    name
        As the command line gives it.
    description
        One line: which weights go first.
    make
        ``seed -> score``.
    formula
        Score of a weight w, in a line; the lowest go first.
    source
        Paper and equation.
    cost
        Passes over the calibration images, in forward passes an image.
    signed
        Whether scores may be negative.
    """

    name: str
    description: str
    make: Callable[[int], Score]
    formula: str = ""
    source: str = ""
    cost: str = "none: the weights alone"
    signed: bool = False
