"""Confidence intervals of error-versus-discard curves, and of paired differences."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.bootstrap.replicates import PERCENT, Replicates, edc_replicates
from prefiqs_jax.fiqa.bootstrap.resampling import Method, Unit
from prefiqs_jax.fiqa.discard.protocol import Protocol
from prefiqs_jax.fiqa.verification.pairs import Pairs
from prefiqs_jax.statistics import jackknife_interval, percentile_interval
from prefiqs_jax.statistics.jackknife import check_level


class Interval(NamedTuple):
    """A value and its interval; arrays along a curve, or floats."""

    value: Float[np.ndarray, "*points"]
    low: Float[np.ndarray, "*points"]
    high: Float[np.ndarray, "*points"]


class EDCBand(NamedTuple):
    """A curve with its intervals, and its difference to the reference quality."""

    discard_fraction: Float[np.ndarray, " points"]
    """Fraction of the comparisons (not images) discarded; of the mated ones where the
    protocol discards either kind by itself."""
    fnmr: Interval
    """False non-match rate of those left, shape (points,); its ends are NaN where no
    error is left, in no replicate either."""
    difference: Interval
    """FNMR minus that of the reference, replicate by replicate, shape (points,); its
    ends are NaN where those of both are."""
    pauc: Interval
    """Area under the curve up to ``max_discard``, not normalised, shape ()."""
    pauc_difference: Interval
    """Area minus that of the reference, shape ()."""
    fmr: float
    """False match rate asked for."""
    protocol: str
    """Name of the protocol."""
    switches: Protocol
    """What the protocol is."""
    max_discard: float
    """Upper limit of the areas."""
    reference: str
    """Quality that the differences are to."""
    unit: Unit
    """What was resampled: identities, images (or templates), or comparisons."""
    unit_count: int
    """How many of them there are."""
    method: Method
    """How: "jackknife" or "bootstrap"."""
    level: float
    """Coverage asked for."""


def edc_intervals(
    pairs: Pairs,
    identities: ArrayLike | None,
    quality: Mapping[str, ArrayLike],
    *,
    fmr: float = 1e-3,
    protocol: str | Protocol = "fiqat",
    reference: str | None = None,
    discard_fraction: ArrayLike = PERCENT,
    max_discard: float = 0.3,
    replicates: int = 500,
    seed: int = 0,
    method: str | None = None,
    level: float = 0.95,
) -> dict[str, EDCBand]:
    """Compute error-versus-discard curves with confidence intervals.

    One protocol, rate and limit of :func:`edc_replicates`, which says what a replicate
    is and how often these intervals cover, turned into bands by :func:`edc_bands`. All
    qualities see the same replicates, so differences are paired: their intervals can be
    narrow where the bands overlap.

    Parameters
    ----------
    pairs, identities, quality, discard_fraction, replicates, seed, method
        As for :func:`edc_replicates`.
    fmr, protocol, max_discard
        As for :func:`edc_replicates`, one of each.
    reference, level
        As for :func:`edc_bands`.

    Returns
    -------
    dict
        An :class:`EDCBand` for each quality. A bootstrap replicate without mated or
        non-mated comparisons (a handful of identities only) has no curve and is left
        out.

    Raises
    ------
    InputError
        As :func:`edc_replicates` and :func:`edc_bands` do.

    References
    ----------
    Efron & Tibshirani (1993). An Introduction to the Bootstrap, chapters 8 and 13.

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
    _check_names(tuple(quality), reference, level)
    (found,) = edc_replicates(
        pairs,
        identities,
        quality,
        fmrs=(fmr,),
        protocols=(protocol,),
        discard_fraction=discard_fraction,
        max_discards=(max_discard,),
        replicates=replicates,
        seed=seed,
        method=method,
    )
    return edc_bands(found, reference=reference, level=level)


def edc_bands(
    replicates: Replicates,
    *,
    reference: str | None = None,
    max_discard: float | None = None,
    level: float = 0.95,
) -> dict[str, EDCBand]:
    """Turn replicates into curves with intervals, and differences to one quality.

    Parameters
    ----------
    replicates
        Replicates of one protocol and rate, as :func:`edc_replicates` gives them.
    reference
        Name of the quality to which the others are compared; the first by default.
    max_discard
        Upper limit of the areas, one of those asked for; the first by default.
    level
        Coverage of the intervals, each by itself, in (0, 1).

    Returns
    -------
    dict
        An :class:`EDCBand` for each quality.

    Raises
    ------
    InputError
        If there is no such reference or limit, or the level is out of its range.
    """
    name = _check_names(replicates.quality, reference, level)
    limit = replicates.max_discard[0] if max_discard is None else max_discard
    if limit not in replicates.max_discard:
        message = (
            f"max_discard={limit} is none of the limits: "
            f"{', '.join(f'{one:g}' for one in replicates.max_discard)}"
        )
        raise InputError(message)
    place, method = replicates.quality.index(name), replicates.method
    pauc = replicates.pauc[:, :, replicates.max_discard.index(limit)]
    bands = {}
    for row, quality in enumerate(replicates.quality):
        fnmr, other = replicates.fnmr[row], replicates.fnmr[place]
        rate = interval(fnmr, level, method, "rate")
        difference = interval(fnmr - other, level, method, "difference")
        if not np.array_equal(fnmr, other, equal_nan=True):
            known = np.isfinite(rate.low)
            known |= np.isfinite(interval(other, level, method, "rate").low)
            ends = (np.where(known, end, np.nan) for end in difference[1:])
            difference = Interval(difference.value, *ends)
        bands[quality] = EDCBand(
            replicates.discard_fraction,
            rate,
            difference,
            interval(pauc[row], level, method, "area"),
            interval(pauc[row] - pauc[place], level, method, "difference"),
            replicates.fmr,
            replicates.protocol,
            replicates.switches,
            limit,
            name,
            replicates.unit,
            replicates.unit_count,
            replicates.method,
            level,
        )
    return bands


def interval(
    values: NDArray[np.float64],
    level: float,
    method: Method,
    kind: Literal["area", "rate", "difference"],
) -> Interval:
    """Compute the interval of a value, the first, from its replicates.

    Bootstrap replicates that are NaN are left out of their percentiles; one of the
    jackknife makes its interval, with Student's quantile, NaN. That of an area is the
    interval of its logarithm, whose distribution is nearer to symmetric, where none is
    0. Areas are at least 0 and rates at most 1: there an interval ends, which does not
    change what it covers. An area or rate that is 0, and so in the replicates, has NaN
    for ends: without an error, none of them shows how many there might be.

    >>> replicates = np.array([49.0, *range(101)])
    >>> [float(x) for x in interval(replicates, 0.5, "bootstrap", "area")]
    [49.0, 25.0, 75.0]
    """
    low: Any  # a float or an array
    high: Any
    if method == "bootstrap":
        columns = values[1:].reshape(len(values) - 1, -1).T
        found = np.array([percentile_interval(column, level) for column in columns])
        low, high = found.T.reshape(2, *values.shape[1:])
    elif kind == "area" and values.min() > 0:
        logarithm = np.log(values)
        ends = jackknife_interval(logarithm[0], logarithm[1:], level=level)
        low, high = np.exp(ends)
    else:
        low, high = jackknife_interval(values[0], values[1:], level=level)
    if kind != "difference":
        low = np.maximum(low, 0)
        none = (values[0] == 0) & (high <= 0)
        low, high = np.where(none, np.nan, low), np.where(none, np.nan, high)
    if kind == "rate":
        high = np.minimum(high, 1)
    return Interval(values[0], low, high)


def _check_names(names: tuple[str, ...], reference: str | None, level: float) -> str:
    check_level(level)
    name = next(iter(names), None) if reference is None else reference
    if name is None or name not in names:
        message = f"reference {name!r} is none of the qualities: {list(names)}"
        raise InputError(message)
    return name
