"""Whether a benchmark has enough errors to compare qualities."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Integer
from numpy.typing import ArrayLike

from prefiqs_jax.fiqa.bootstrap.resampling import Unit, find_units
from prefiqs_jax.fiqa.discard.edc import EDC
from prefiqs_jax.fiqa.verification.pairs import Pairs

FEWEST_ERRORS = 10
"""False non-matches below which nothing is told: of ten, chance alone makes the count
vary by a third."""
FEWEST_UNITS = 3
"""People (or images) below which nothing is told, if all false non-matches are of so
few: without one of two, half of what is measured is gone."""


class Evidence(NamedTuple):
    """The false non-matches before any discard."""

    errors: int
    mated_count: int
    """Mated comparisons, of which these are."""
    unit: Unit
    """What they are of: identities, images (or templates), or comparisons."""
    units: int
    """The fewest without which none is left: the identities that have one; of images,
    a minimum vertex cover of the comparisons that fail, for a bad image fails with good
    ones. That is exact below ``FEWEST_UNITS``, else a lower bound (the failures by the
    most of one image)."""

    @property
    def tells(self) -> bool:
        """Whether they are enough to compare qualities."""
        return self.errors >= FEWEST_ERRORS and self.units >= FEWEST_UNITS


def error_evidence(pairs: Pairs, identities: ArrayLike | None, curve: EDC) -> Evidence:
    """Count the false non-matches before any discard, and the units that they involve.

    Parameters
    ----------
    pairs
        Comparisons.
    identities
        Shape (images,): who is on each image; None if unknown.
    curve
        Curve of these comparisons by any quality.

    Raises
    ------
    InputError
        If the pairs contradict the identities.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs, edc, pair_quality
    >>> people = list("aabbcc")
    >>> embeddings = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    >>> pairs = all_pairs(np.vstack([embeddings, [0, 0, 1]]), people)
    >>> curve = edc(pairs.similarity, pairs.mated, pair_quality(range(6), pairs),
    ...     threshold=0.5, protocol="fiqat")
    >>> found = error_evidence(pairs, people, curve)
    >>> found.errors, found.mated_count, found.unit, found.units, found.tells
    (1, 3, 'identity', 1, False)
    """
    below = np.less if curve.switches.operator == "ge" else np.less_equal
    wrong = below(pairs.similarity, np.float64(curve.threshold[0]))
    rows = np.flatnonzero(wrong & pairs.mated)
    units = find_units(pairs, identities)
    if units.kind == "comparison":
        count = len(rows)
    elif units.kind == "identity":
        count = len(np.unique(units.code[pairs.first[rows]]))
    else:
        sides = np.stack([pairs.first[rows], pairs.second[rows]], axis=1)
        count = _fewest(units.code[sides])
    return Evidence(len(rows), int(pairs.mated.sum()), units.kind, count)


def _fewest(sides: Integer[np.ndarray, "errors 2"]) -> int:
    """Compute a lower bound of the minimum vertex cover of the errors."""
    for count in range(FEWEST_UNITS):
        if _are_of(sides, count):
            return count
    most = int(np.unique(sides, return_counts=True)[1].max())
    return max(FEWEST_UNITS, -(-len(sides) // most))


def _are_of(sides: Integer[np.ndarray, "errors 2"], count: int) -> bool:
    """Return whether ``count`` units cover every error."""
    if not len(sides):
        return True
    # One of the two of any error is among them.
    return count > 0 and any(
        _are_of(sides[(sides != unit).all(axis=1)], count - 1) for unit in sides[0]
    )
