"""From embeddings under several preprocessings to which of them fit clearly worse."""

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import equal_error_rate, fnmr_at, threshold_at_fmr
from prefiqs_jax.inputcheck.fits import PreprocessingFit
from prefiqs_jax.inputcheck.separation import Moments, d_prime_replicates, moments
from prefiqs_jax.statistics import percentile_interval

GROSS = 2 / 3
"""Of the best d' of mirror images; only what stays below is gross."""

_FALSE_MATCHES = 10  # so many, at least, hold a threshold
_LEVEL = 0.95


def unit_rows(
    raw: NDArray[np.float64], mirror: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Scale raw embeddings, and those to compare them with, to norm 1.

    Parameters
    ----------
    raw, mirror
        Shape (images, dim); without `mirror`, `raw` is compared with itself.

    Returns
    -------
    tuple of ndarray, or None
        Unit rows of both; None if an embedding is zero or not finite.
    """
    sides = (raw, raw if mirror is None else mirror)
    norms = [np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
    if not all(np.isfinite(norm).all() and (norm > 0).all() for norm in norms):
        return None
    return sides[0] / norms[0], sides[1] / norms[1]


def judge(
    fits: list[PreprocessingFit],
    units: list[tuple[NDArray[np.float64], NDArray[np.float64]] | None],
    codes: NDArray[np.intp],
    evidence: Literal["identities", "mirrors"],
    replicates: int,
    seed: int,
) -> tuple[float | None, list[PreprocessingFit]]:
    """Fill in what the comparisons say.

    Parameters
    ----------
    fits
        One for each preprocessing.
    units
        Unit rows of each, as :func:`unit_rows` gives them. Without them a fit is
        clearly worse.
    codes
        Shape (images,): the person, or with ``"mirrors"`` the picture, from 0.
    evidence
        Whether pictures are compared with each other, or with mirror images.
    replicates, seed
        Of the bootstrap.

    Returns
    -------
    fmr
        At which FNMR is given; None without identities.
    fits
        With separation, interval and errors.

    Raises
    ------
    InputError
        If no preprocessing gives embeddings that can be compared.
    """
    usable = [(index, pair) for index, pair in enumerate(units) if pair is not None]
    if not usable:
        message = (
            "embeddings are zero or not finite under every preprocessing; are these "
            "the weights of this network?"
        )
        raise InputError(message)
    count = len(codes)
    if evidence == "identities":
        first, second = np.triu_indices(count, 1)
    else:
        first, second = np.divmod(np.arange(count**2), count)
    mated = codes[first] == codes[second]
    fmr = _supported_fmr(int((~mated).sum()))
    fits = [dataclasses.replace(fit, clearly_worse=True) for fit in fits]
    sums: list[Moments] = []
    for index, pair in usable:
        similarity = (pair[0] @ pair[1].T)[first, second]
        sums.append(moments(codes[first], codes[second], similarity, codes.max() + 1))
        if evidence == "identities":
            threshold = threshold_at_fmr(similarity[~mated], fmr)
            fits[index] = dataclasses.replace(
                fits[index],
                eer=equal_error_rate(similarity, mated),
                fnmr=fnmr_at(similarity[mated], threshold),
            )
    drawn = d_prime_replicates(sums, replicates, seed)
    best = int(np.argmax(drawn[0]))
    level = 1 - (1 - _LEVEL) / max(len(fits) - 1, 1)
    share = 1.0 if evidence == "identities" else GROSS
    for place, (index, _) in enumerate(usable):
        low, high = percentile_interval(drawn[1:, place] - drawn[1:, best], level)
        margin = drawn[1:, place] - share * drawn[1:, best]
        fits[index] = dataclasses.replace(
            fits[index],
            separation=float(drawn[0, place]),
            low=low,
            high=high,
            clearly_worse=percentile_interval(margin, level)[1] < 0,
        )
    return (fmr if evidence == "identities" else None), fits


def _supported_fmr(non_mated: int) -> float:
    """Give the smallest usual FMR that ten false matches support, at most 0.1.

    >>> _supported_fmr(4500), _supported_fmr(100), _supported_fmr(30)
    (0.01, 0.1, 0.1)
    """
    usual = (1e-4, 1e-3, 1e-2, 1e-1)
    return next((fmr for fmr in usual if fmr * non_mated >= _FALSE_MATCHES), 0.1)
