"""What a demo shows: how many people, how degraded the images."""

import dataclasses
from collections.abc import Sequence

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import MOST_IMAGES

SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
QUALITY_SPARSITY = 0.4
"""Sparsity of the quality; the best of the paper (arXiv:2605.13396)."""
FMR = 1e-2
DISCARD = 0.2
"""Fraction of comparisons that the summary discards."""
CLEAN = 6
DEGRADED = 4
"""Images of each person, without and with a degradation."""
MOST_FACES = 40
"""People, at most, whose first clean image is degraded to every severity level."""
MOST_PEOPLE = MOST_IMAGES // (CLEAN + DEGRADED)


@dataclasses.dataclass(frozen=True)
class DemoSettings:
    """What decides every row of a demo.

    Attributes
    ----------
    seed
        Seed of people, photographs and degradations.
    people
        How many, 2 to 1000, each with six clean and four degraded images.
    severities
        Severity levels of every degradation, ascending, each in (0, 1]. Degraded
        images of the benchmark have any severity up to the largest.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    seed: int = 0
    people: int = 40
    severities: Sequence[float] = (0.4, 0.7, 1.0)

    def __post_init__(self) -> None:
        """Check every value and make the severities a sorted tuple."""
        if not 2 <= self.people <= MOST_PEOPLE:
            message = (
                f"{self.people} people; give 2 to {MOST_PEOPLE}, since recognition "
                "compares different people, and every image with every other one"
            )
            raise InputError(message)
        if self.seed < 0:
            message = f"seed {self.seed}; give a number that is not negative"
            raise InputError(message)
        for severity in self.severities:
            # A NaN is in no interval.
            if not 0 <= severity <= 1:
                message = (
                    f"severity {severity:g} is outside [0, 1]: 0 leaves an image as "
                    "it is, 1 all but destroys it"
                )
                raise InputError(message)
        # Clean images are severity 0 of every degradation already.
        levels = tuple(sorted({float(s) for s in self.severities if s > 0}))
        if not levels:
            message = "no severity above 0; give some, such as 0.4,0.7,1"
            raise InputError(message)
        object.__setattr__(self, "severities", levels)
