"""False matches versus discard: FMR of the non-mated comparisons that are left."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import checked_values
from prefiqs_jax.fiqa.discard.edc import quiet_edc
from prefiqs_jax.fiqa.discard.protocol import PROTOCOLS


class FalseMatchEDC(NamedTuple):
    """A curve of false matches against discard: one entry per step."""

    discard_fraction: Float[np.ndarray, " steps"]
    """Fraction of the non-mated comparisons (not images) discarded, from 0."""
    fmr: Float[np.ndarray, " steps"]
    """False match rate of the non-mated comparisons that are left."""
    threshold: float
    """Similarity from which comparisons match, at every step."""
    non_mated_count: Int[np.ndarray, " steps"]
    """Non-mated comparisons left."""
    threshold_from: str
    """What set the threshold, such as "FMR 0.05 before any discard"."""


def false_match_edc(
    non_mated_similarity: ArrayLike,
    pair_quality: ArrayLike,
    *,
    fmr0: float | None = None,
    threshold: float | None = None,
) -> FalseMatchEDC:
    """Discard non-mated comparisons, lowest quality first, and follow their FMR.

    FMR(step) = false matches left / non-mated comparisons left

    Parameters
    ----------
    non_mated_similarity
        Shape (comparisons,): non-mated ones only, higher = more alike.
    pair_quality
        Shape (comparisons,), higher = better; see :func:`pair_quality`.
    fmr0
        FMR before any discard that sets the threshold, in (0, 1): it is the ``1 -
        fmr0`` quantile of the similarities.
    threshold
        The threshold itself, instead: a similarity at it matches.

    Returns
    -------
    FalseMatchEDC
        The curve, as fiqat has it: a point after each group of equal quality, and a
        last one (1, 0).

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, fmr0 is outside (0, 1), or not exactly
        one of fmr0 and threshold is given.

    Notes
    -----
    A quality that finds false non-matches need not find false matches: two faces
    blurred alike are more alike.

    References
    ----------
    Schlett, Rathgeb, Tapia & Busch (2023). Considerations on the evaluation of
    biometric quality assessment algorithms. arXiv 2303.13294. ISO/IEC 29794-1:2024,
    11.3, has a false match error versus discard characteristic.

    Examples
    --------
    >>> curve = false_match_edc([0.1, 0.6, 0.2, 0.7], [4, 1, 3, 2], threshold=0.5)
    >>> curve.discard_fraction, curve.fmr.round(2)
    (array([0.  , 0.25, 0.5 , 0.75, 1.  ]), array([0.5 , 0.33, 0.  , 0.  , 0.  ]))
    """
    if (fmr0 is None) == (threshold is None):
        message = "give either fmr0 or threshold"
        raise InputError(message)
    if fmr0 is not None and not 0 < fmr0 < 1:
        message = f"fmr0={fmr0} is outside (0, 1): it is a fraction, such as 0.05"
        raise InputError(message)
    values = checked_values("non_mated_similarity", non_mated_similarity)
    level = threshold
    source = f"threshold {threshold}"
    if fmr0 is not None:
        level = float(np.quantile(values, 1 - fmr0))
        source = f"FMR {fmr0:g} before any discard"
    # In the mirror: a similarity s is a false match if -s is at most -threshold.
    mirrored = quiet_edc(
        -values,
        np.ones(len(values), np.bool_),
        pair_quality,
        0.5,
        None,
        -float(level),  # pyright: ignore[reportArgumentType]
        dataclasses.replace(PROTOCOLS["fiqat"], operator="gt"),
    )
    return FalseMatchEDC(
        mirrored.discard_fraction,
        mirrored.fnmr,
        -float(mirrored.threshold[0]),
        mirrored.mated_count,
        source,
    )
