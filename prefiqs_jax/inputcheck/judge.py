"""From embeddings under several preprocessings to which of them fit clearly worse."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import equal_error_rate, fnmr_at, threshold_at_fmr
from prefiqs_jax.inputcheck.separation import d_prime_replicates, moments
from prefiqs_jax.statistics import percentile_interval

GROSS = 2 / 3
"""Share of the best d' of mirror images; only what stays below is gross."""

_FALSE_MATCHES = 10  # so many, at least, hold a threshold
_LEVEL = 0.95


def judge(
    raw: Sequence[Sequence[NDArray[np.float64]]],
    codes: NDArray[np.intp],
    replicates: int,
    seed: int,
) -> tuple[float | None, list[dict[str, Any]]]:
    """Say of each preprocessing how well it separates, and whether it is clearly worse.

    Parameters
    ----------
    raw
        Raw embeddings under each preprocessing, shape (images, dim): one array, whose
        images are compared with each other, or two, of images and of their mirror
        images. Where one is zero or not finite, the preprocessing is clearly worse.
    codes
        Shape (images,): the person, or with mirror images the image, from 0.
    replicates, seed
        Replicates of the bootstrap, and the seed of its draws.

    Returns
    -------
    fmr, fits
        At which FNMR is given, None with mirror images; and for each the fields of
        :class:`PreprocessingFit` that comparisons give.
    """
    units = [[_unit_rows(side) for side in sides] for sides in raw]
    usable = [i for i, sides in enumerate(units) if np.isfinite(sides).all()]
    if not usable:
        message = (
            "embeddings are zero or not finite under every preprocessing; are these "
            "the weights of this network?"
        )
        raise InputError(message)
    count, people, with_mirrors = len(codes), int(codes.max()) + 1, len(raw[0]) == 2
    if with_mirrors:
        first, second = np.divmod(np.arange(count**2), count)
    else:
        first, second = np.triu_indices(count, 1)
    mated = codes[first] == codes[second]
    fmr = None if with_mirrors else _supported_fmr(int((~mated).sum()))
    fits: list[dict[str, Any]] = [{"clearly_worse": True} for _ in raw]
    sums = []
    for index in usable:
        similarity = (units[index][0] @ units[index][-1].T)[first, second]
        sums.append(moments(codes[first], codes[second], similarity, people))
        if fmr is not None:
            threshold = threshold_at_fmr(similarity[~mated], fmr)
            fits[index]["eer"] = equal_error_rate(similarity, mated)
            fits[index]["fnmr"] = fnmr_at(similarity[mated], threshold)
    found = d_prime_replicates(sums, replicates, seed)
    whole, drawn = found[0], found[1:]
    best = int(np.argmax(whole))
    level = 1 - (1 - _LEVEL) / max(len(fits) - 1, 1)
    share = GROSS if with_mirrors else 1.0
    for place, index in enumerate(usable):
        low, high = percentile_interval(drawn[:, place] - drawn[:, best], level)
        margin = drawn[:, place] - share * drawn[:, best]
        fits[index] |= {
            "separation": float(whole[place]),
            "low": low,
            "high": high,
            "clearly_worse": bool(percentile_interval(margin, level)[1] < 0),
        }
    return fmr, fits


def _unit_rows(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows to norm 1; a row that is zero or not finite becomes NaN."""
    norm = np.linalg.norm(raw, axis=1, keepdims=True)
    return raw / np.where(np.isfinite(norm) & (norm > 0), norm, np.nan)


def _supported_fmr(non_mated: int) -> float:
    """Give the smallest usual FMR that ten false matches support, at most 0.1.

    >>> _supported_fmr(4500), _supported_fmr(100), _supported_fmr(30)
    (0.01, 0.1, 0.1)
    """
    usual = (1e-4, 1e-3, 1e-2, 1e-1)
    return next((fmr for fmr in usual if fmr * non_mated >= _FALSE_MATCHES), 0.1)
