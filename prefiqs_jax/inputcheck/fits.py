"""Records of a check: one fit for each preprocessing, and what they say together."""

import dataclasses
from typing import Literal

from prefiqs_jax.backbones import Preprocessing


@dataclasses.dataclass(frozen=True)
class PreprocessingFit:
    """How well images fit a network under one preprocessing.

    Attributes
    ----------
    preprocessing
        What the input was made by.
    norm, norm_spread
        Mean norm of the raw embeddings, and their standard deviation over that mean.
    separation
        d' of mated against non-mated similarities; None without enough images.
    low, high
        Interval of how far ``separation`` is above that of the best, bootstrapped by
        person or image; its level allows for the number of alternatives.
    eer, fnmr
        Equal error rate, and FNMR at the comparison's ``fmr``; None if unknown.
    clearly_worse
        Whether the evidence says that it fits worse than the best.
    """

    preprocessing: Preprocessing
    norm: float
    norm_spread: float
    separation: float | None = None
    low: float | None = None
    high: float | None = None
    eer: float | None = None
    fnmr: float | None = None
    clearly_worse: bool = False


@dataclasses.dataclass(frozen=True)
class PreprocessingComparison:
    """The stored preprocessing of a network beside its alternatives.

    Attributes
    ----------
    rows
        One fit for each preprocessing, the stored one first.
    evidence
        ``"identities"``: the same person against others. ``"mirrors"``: an image's
        mirror image against those of other images, which shows gross errors only.
        None: too few images for either.
    images, people
        How many were compared; 0 people where that does not matter.
    fmr
        False match rate of the column FNMR; None without identities.
    grey
        How many of the images are grey.
    skipped
        (name, reason) of images left out.
    """

    rows: tuple[PreprocessingFit, ...]
    evidence: Literal["identities", "mirrors"] | None
    images: int
    people: int
    fmr: float | None
    grey: int
    skipped: tuple[tuple[str, str], ...]

    @property
    def stored(self) -> PreprocessingFit:
        """The fit of what belongs to the weights."""
        return self.rows[0]

    @property
    def best(self) -> PreprocessingFit:
        """The fit with the largest separation; the stored one without evidence."""
        if self.evidence is None:
            return self.stored
        known = [row for row in self.rows if row.separation is not None]
        return max(known, key=lambda row: row.separation or 0.0)

    @property
    def alike(self) -> tuple[PreprocessingFit, ...]:
        """Alternatives that the images cannot tell from the best fit."""
        return tuple(row for row in self.rows[1:] if not row.clearly_worse)

    @property
    def fits(self) -> bool:
        """False if an alternative fits clearly better than the stored preprocessing."""
        return not self.stored.clearly_worse
