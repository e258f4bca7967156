"""Bootstrap intervals of error-versus-discard curves, by identity, and paired."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import check_fmr, checked_mated, checked_values
from prefiqs_jax.fiqa.discard import pair_quality
from prefiqs_jax.fiqa.pairs import Pairs, identity_codes
from prefiqs_jax.statistics import bootstrap_weights, percentile_interval

PERCENT = np.arange(96) / 100
"""Discard fractions of the bands: 0, 0.01, … 0.95."""
PERCENT.flags.writeable = False

# Numbers of one weight matrix held at once (8 MB), as for the tables of a run.
_CHUNK_NUMBERS = 2**20


class Interval(NamedTuple):
    """A value and its percentile interval; arrays along a curve, or floats."""

    value: Float[np.ndarray, "*points"]
    low: Float[np.ndarray, "*points"]
    high: Float[np.ndarray, "*points"]


class EDCBand(NamedTuple):
    """A curve with its intervals, and its difference to the reference quality."""

    discard_fraction: Float[np.ndarray, " points"]
    """Fraction of the mated comparisons (not images) discarded."""
    fnmr: Interval
    """False non-match rate of those left, shape (points,)."""
    difference: Interval
    """FNMR minus that of the reference, replicate by replicate, shape (points,)."""
    pauc: Interval
    """Area under the steps up to ``max_discard``, not normalised, shape ()."""
    pauc_difference: Interval
    """Area minus that of the reference, shape ()."""
    fmr: float
    """False match rate asked for."""


class _Mated(NamedTuple):
    """Mated comparisons in the order of one quality, lowest first."""

    similarity: Float[np.ndarray, " mated"]
    identity: Int[np.ndarray, " mated"]
    starts: Int[np.ndarray, " groups"]
    """Where each group of equal quality starts."""


class _NonMated(NamedTuple):
    """Non-mated comparisons, most similar first."""

    similarity: Float[np.ndarray, " non_mated"]
    one: Int[np.ndarray, " non_mated"]
    other: Int[np.ndarray, " non_mated"]
    table: Float[np.ndarray, "identities identities"]
    """How many there are of each pair of identities."""


def edc_intervals(
    pairs: Pairs,
    identities: ArrayLike,
    quality: Mapping[str, ArrayLike],
    *,
    fmr: float = 1e-3,
    reference: str | None = None,
    discard_fraction: ArrayLike = PERCENT,
    max_discard: float = 0.3,
    replicates: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, EDCBand]:
    """Estimate how far error-versus-discard curves depend on who was photographed.

    Curves are those of the protocol "fiqat". A replicate draws as many identities as
    there are, with replacement, and everything is found again on it: the threshold at
    its FMR, which comparisons go, FNMR, area. All qualities see the same replicates,
    so differences are paired: their intervals can be narrow where the bands overlap.

    Parameters
    ----------
    pairs
        Comparisons, as :func:`all_pairs` lists them.
    identities
        Shape (images,): who is on each image.
    quality
        Image qualities by name, each of shape (images,), higher = better.
    fmr
        False match rate that sets the threshold, in (0, 1).
    reference
        Name of the quality to which the others are compared; the first by default.
    discard_fraction
        Shape (points,): where to read the curves, in [0, 1).
    max_discard
        Upper limit of the areas, in (0, 1].
    replicates
        Bootstrap replicates.
    seed
        Of the bootstrap.
    level
        Coverage of the percentile intervals, in (0, 1).

    Returns
    -------
    dict
        An :class:`EDCBand` for each quality. A replicate without mated or non-mated
        comparisons (a handful of identities only) has no curve and is left out.

    Raises
    ------
    InputError
        If the pairs contradict the identities, a quality is missing or not finite, one
        kind of comparison is missing, there is no quality or no such reference, or a
        number is out of its range.

    Notes
    -----
    If w_i is how often identity i was drawn, a non-mated comparison of i and j weighs
    w_i · w_j: each copy of one meets each copy of the other. A mated one of i weighs
    w_i, not w_i²: a copy stands for a person of its own, with that person's own mated
    comparisons; between two copies there is none, and counting them as mated would
    favour identities drawn often. All weighted counts equal those of the list in which
    each comparison is repeated as often as its weight says.

    Comparisons are sorted once. A replicate then sees the mated ones and as many of the
    most similar non-mated as its threshold takes (and a table of identities by
    identities). With few identities the coverage is below the level.

    References
    ----------
    Efron & Tibshirani (1993). An Introduction to the Bootstrap, chapters 8 and 13.
    Bolle, Ratha & Pankanti (2004). Error analysis of pattern recognition systems: the
    subsets bootstrap. Computer Vision and Image Understanding 93: persons, not
    comparisons, are drawn.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs
    >>> rng = np.random.default_rng(0)
    >>> who = np.arange(60) // 3
    >>> embeddings = rng.normal(size=(20, 8))[who] + rng.normal(size=(60, 8))
    >>> pairs = all_pairs(embeddings, who)
    >>> quality = {"one": rng.random(60), "two": rng.random(60)}
    >>> bands = edc_intervals(pairs, who, quality, fmr=0.01, replicates=50)
    >>> bool((bands["one"].fnmr.low <= bands["one"].fnmr.high).all())
    True
    """
    grid = _checked_numbers(discard_fraction, max_discard, replicates, level)
    check_fmr(fmr)
    codes = _checked_identities(pairs, identities)
    if reference is None:
        reference = next(iter(quality), None)
    if reference is None or reference not in quality:
        message = f"reference {reference!r} is none of the qualities: {list(quality)}"
        raise InputError(message)

    mated = {name: _mated(pairs, codes, values) for name, values in quality.items()}
    non_mated = _non_mated(pairs, codes)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in quality}
    whole = np.ones((1, len(non_mated.table)))
    largest = max(len(pairs.first[pairs.mated]), _first_slice(non_mated, fmr))
    for weights in (whole, *_weight_chunks(len(whole[0]), replicates, seed, largest)):
        threshold = _thresholds(non_mated, weights, fmr)
        for name, sample in mated.items():
            drawn[name].append(_curves(sample, weights, threshold, grid, max_discard))
    found = {name: np.concatenate(parts) for name, parts in drawn.items()}

    bands = {}
    for name, values in found.items():
        own = _interval(values, level)
        difference = _interval(values - found[reference], level)
        bands[name] = EDCBand(
            grid,
            Interval(*(part[:-1] for part in own)),
            Interval(*(part[:-1] for part in difference)),
            Interval(*(part[-1] for part in own)),
            Interval(*(part[-1] for part in difference)),
            fmr,
        )
    return bands


def _checked_numbers(
    discard_fraction: ArrayLike, max_discard: float, replicates: int, level: float
) -> NDArray[np.float64]:
    grid = checked_values("discard_fraction", discard_fraction).astype(np.float64)
    if grid.min() < 0 or grid.max() >= 1:
        message = (
            f"discard_fraction has {grid.min():g} to {grid.max():g}, not in [0, 1)"
        )
        raise InputError(message)
    if not 0 < max_discard <= 1:
        message = f"max_discard={max_discard} is outside (0, 1]: it is a fraction"
        raise InputError(message)
    if replicates < 1 or not 0 < level < 1:
        message = (
            f"replicates={replicates}, level={level}: give at least 1 replicate and a "
            "level between 0 and 1"
        )
        raise InputError(message)
    return grid


def _checked_identities(pairs: Pairs, identities: ArrayLike) -> NDArray[np.intp]:
    """Map identities to numbers without gaps among those that occur in the pairs."""
    checked_values("similarity", pairs.similarity)
    checked_mated(pairs.mated, len(pairs.similarity))
    codes = identity_codes(identities, np.size(identities))
    last = max(int(np.max(pairs.first)), int(np.max(pairs.second)))
    if last >= len(codes):
        message = f"the pairs have image {last}, but there are {len(codes)} identities"
        raise InputError(message)
    odd = (codes[pairs.first] == codes[pairs.second]) != pairs.mated
    if odd.any():
        row = int(np.argmax(odd))
        message = (
            f"comparison {row} of images {pairs.first[row]} and {pairs.second[row]} "
            "contradicts their identities; give the identities that made the pairs"
        )
        raise InputError(message)
    occurs = np.zeros(codes.max() + 1, np.bool_)
    occurs[codes[pairs.first]] = True
    occurs[codes[pairs.second]] = True
    return (np.cumsum(occurs) - 1)[codes]


def _mated(pairs: Pairs, codes: NDArray[np.intp], quality: ArrayLike) -> _Mated:
    values = pair_quality(quality, pairs)[pairs.mated]
    order = np.argsort(values, kind="stable")
    values = values[order]
    return _Mated(
        pairs.similarity[pairs.mated][order].astype(np.float64),
        codes[pairs.first[pairs.mated]][order],
        np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1]),
    )


def _non_mated(pairs: Pairs, codes: NDArray[np.intp]) -> _NonMated:
    similarity = pairs.similarity[~pairs.mated].astype(np.float64)
    order = np.argsort(similarity)[::-1]
    one = codes[pairs.first[~pairs.mated]][order]
    other = codes[pairs.second[~pairs.mated]][order]
    identities = int(codes.max()) + 1
    count = np.bincount(one * identities + other, minlength=identities**2)
    table = count.reshape(identities, identities).astype(np.float64)
    return _NonMated(similarity[order], one, other, table)


def _first_slice(non_mated: _NonMated, fmr: float) -> int:
    # Most replicates need fewer; the rest makes the slice twice as long.
    return min(len(non_mated.one), 256 + int(2 * fmr * len(non_mated.one)))


def _weight_chunks(
    identities: int, replicates: int, seed: int, largest: int
) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK_NUMBERS // largest)
    for start in range(0, replicates, size):
        count = min(size, replicates - start)
        yield bootstrap_weights(np.arange(identities), count, rng)


def _thresholds(
    non_mated: _NonMated, weights: NDArray[np.float64], fmr: float
) -> NDArray[np.float64]:
    """Find the lowest threshold with a weighted FMR at most ``fmr``, or NaN."""
    total = np.einsum("ri,ri->r", weights @ non_mated.table, weights)
    length = _first_slice(non_mated, fmr)
    while True:
        one, other = non_mated.one[:length], non_mated.other[:length]
        matches = np.cumsum(weights[:, one] * weights[:, other], axis=1)
        is_over = matches / np.maximum(total, 1)[:, None] > fmr
        if length == len(non_mated.one) or is_over[total > 0, -1].all():
            break
        length = min(2 * length, len(non_mated.one))
    first_over = non_mated.similarity[np.argmax(is_over, axis=1)]
    return np.where(total > 0, np.nextafter(first_over, np.inf), np.nan)


def _curves(
    mated: _Mated,
    weights: NDArray[np.float64],
    threshold: NDArray[np.float64],
    grid: NDArray[np.float64],
    max_discard: float,
) -> NDArray[np.float64]:
    """Give FNMR at each point of the grid, and the area last, for each replicate."""
    weight = weights[:, mated.identity]
    # Before each group of ties, and after the last.
    gone = _before(weight, mated.starts)
    weight[mated.similarity[None, :] >= threshold[:, None]] = 0
    errors_gone = _before(weight, mated.starts)
    left = gone[:, -1:] - gone
    errors_left = errors_gone[:, -1:] - errors_gone
    fnmr = np.zeros_like(left)
    np.divide(errors_left, left, out=fnmr, where=left > 0)
    fraction = gone / np.maximum(gone[:, -1:], 1)

    width = np.diff(np.minimum(fraction, max_discard), axis=1)
    result = np.empty((len(weights), len(grid) + 1))
    result[:, -1] = np.einsum("rg,rg->r", fnmr[:, :-1], width)
    for row, x in enumerate(fraction):
        result[row, :-1] = fnmr[row, np.searchsorted(x, grid, side="right") - 1]
    result[np.isnan(threshold) | (gone[:, -1] == 0)] = np.nan
    return result


def _before(
    weight: NDArray[np.float64], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    before = np.zeros((len(weight), weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=before[:, 1:])
    return before[:, np.append(starts, weight.shape[1])]


def _interval(values: NDArray[np.float64], level: float) -> Interval:
    """Take the first row as the value, the others as replicates."""
    ends = [percentile_interval(column, level) for column in values[1:].T]
    low, high = np.array(ends).T
    return Interval(values[0], low, high)
