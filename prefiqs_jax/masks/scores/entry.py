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
    """

    name: str
    description: str
    make: Callable[[int], Score]
