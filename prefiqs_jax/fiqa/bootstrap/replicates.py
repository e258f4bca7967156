"""Replicates of error-versus-discard curves, paired over the qualities."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.fiqa.bootstrap.replicate_curves import (
    Evaluation,
    Setting,
    curves_of_quality,
)
from prefiqs_jax.fiqa.bootstrap.resampling import (
    Draws,
    Method,
    Unit,
    Units,
    find_units,
)
from prefiqs_jax.fiqa.checks import (
    check_fmr,
    check_max_discard,
    checked_mated,
    checked_quality,
    checked_values,
)
from prefiqs_jax.fiqa.discard.cuts import GRID
from prefiqs_jax.fiqa.discard.discard import images_compared
from prefiqs_jax.fiqa.discard.protocol import Protocol, find_protocol
from prefiqs_jax.fiqa.discard.summary import ROUNDING
from prefiqs_jax.fiqa.verification.pairs import Pairs

PERCENT = np.arange(96) / 100
"""Discard fractions at which curves are read: 0, 0.01, … 0.95."""
PERCENT.flags.writeable = False
MOST_LEFT_OUT = 100
"""People up to which the jackknife is the default; beyond, it is the bootstrap."""
FEW_UNITS = 20
"""People below which intervals of differences and rates cover less than asked for."""
FEW_OTHERS = 200
"""Images or comparisons below which all intervals do."""
FEW_DRAWS = 100
"""Bootstrap replicates below which their percentiles are coarse."""


class Replicates(NamedTuple):
    """Curves and areas of several qualities on the same replicates."""

    quality: tuple[str, ...]
    """Names of the qualities."""
    protocol: str
    """Name of the protocol; "custom" if it has none."""
    switches: Protocol
    """What the protocol is."""
    fmr: float
    """False match rate asked for."""
    discard_fraction: Float[np.ndarray, " points"]
    """Fraction of the comparisons (not images) discarded; of the mated ones where the
    protocol discards either kind by itself."""
    fnmr: Float[np.ndarray, "qualities draws points"]
    """False non-match rates; first, on the comparisons as they are."""
    max_discard: tuple[float, ...]
    """Upper limits of the areas."""
    pauc: Float[np.ndarray, "qualities draws limits"]
    """Areas up to each limit, not normalised; first, on the comparisons as they are."""
    unit: Unit
    """What was resampled: identities, images (or templates), or comparisons."""
    unit_count: int
    """How many of them there are."""
    method: Method
    """``jackknife``: each replicate leaves out one unit, or one group of units;
    ``bootstrap``: each draws as many units as there are, with replacement."""

    @property
    def replicate_count(self) -> int:
        """How many replicates; of the jackknife, how many units or groups of units."""
        return self.fnmr.shape[1] - 1


def few_told(unit: Unit, count: int, words: str) -> str | None:
    """Return a warning if intervals of so few units cover less often than stated.

    ``unit`` and ``count`` are what was resampled, and how many; ``words`` their plural.

    >>> few_told("identity", 20, "people")
    >>> few_told("comparison", 50, "comparisons")
    'intervals of 50 comparisons contain the truth less often than 95 %; take at least \
    200'
    """
    least, what = FEW_OTHERS, "intervals"
    if unit == "identity":
        # Areas of few people are covered.
        least, what = FEW_UNITS, "intervals of FNMR and of differences"
    if count >= least:
        return None
    return (
        f"{what} of {count} {words} contain the truth less often than 95 %; take at "
        f"least {least}"
    )


def edc_replicates(
    pairs: Pairs,
    identities: ArrayLike | None,
    quality: Mapping[str, ArrayLike],
    *,
    fmrs: Sequence[float] = (1e-3,),
    protocols: Sequence[str | Protocol] = ("fiqat",),
    discard_fraction: ArrayLike = PERCENT,
    max_discards: Sequence[float] = (0.3,),
    replicates: int = 500,
    seed: int = 0,
    method: str | None = None,
) -> tuple[Replicates, ...]:
    """Compute the curves of several qualities on replicates.

    A replicate leaves out one identity (jackknife), or draws as many as there are, with
    replacement (bootstrap), and everything is found again on it: thresholds, which
    comparisons go, FNMR, areas. All qualities, protocols, rates and limits see the same
    replicates, so their differences are paired.

    Parameters
    ----------
    pairs
        Comparisons of images, or of templates.
    identities
        Shape (images,): who is on each image. None if unknown: images are drawn then
        (or comparisons, if none share an image), and ``unit`` of the result says so.
    quality
        Image qualities by name, each of shape (images,), higher = better.
    fmrs, protocols
        False match rates that set the threshold, each in (0, 1); names or records.
    discard_fraction
        Shape (points,): where to read the curves, in [0, 1), at most 0.95 for protocols
        with a grid of steps.
    max_discards
        Upper limits of the areas, each in (0, 1], at most 0.95 likewise.
    replicates
        Replicates of the bootstrap; of the jackknife, at most so many: with more units,
        it leaves out groups of units, drawn at random, of sizes that differ by one at
        most.
    seed
        For the draws of the bootstrap, or for the groups.
    method
        "jackknife" or "bootstrap"; by default, the jackknife for up to
        ``MOST_LEFT_OUT`` identities, and else the bootstrap.

    Returns
    -------
    tuple of Replicates
        One for each protocol and rate, in that order. A replicate without mated or
        non-mated comparisons has NaN.

    Raises
    ------
    InputError
        If the pairs contradict the identities, a quality is missing or not finite, one
        kind of comparison is missing, there is no quality, a protocol is unknown, or a
        number is out of its range.

    Notes
    -----
    If w_i is how often identity i was drawn, a non-mated comparison of i and j weighs
    w_i · w_j: each copy of one meets each copy of the other. A mated one of i weighs
    w_i, not w_i²: a copy stands for a person of its own, with that person's own mated
    comparisons; between two copies there is none. Of images, a comparison weighs the
    product of its images' weights. Curves equal those of the list in which each
    comparison is repeated as often as its weight says; other settings than those of the
    presets are computed on that list itself, which takes a sort per replicate.

    The method is chosen by how often 95 % intervals cover (``coverage_pauc.py`` in
    ``experiments``, at FMR 1e-2 and 1e-3). With few people the bootstrap's fall short
    (a paired difference of 8 people: 66.6 %); the jackknife's, with Student's quantile,
    hold areas (of the logarithm) with 94 to 100 % from 8 people on, each difference
    with 81 to 99.7 % for 8 and 10 people and 92 % or more from 20 on. With 100 people
    both cover. Of images and comparisons the jackknife does not see the threshold move:
    they are drawn.

    When not to trust it: with fewer than ``FEW_UNITS`` identities or ``FEW_OTHERS``
    images or comparisons the intervals are too narrow, and with few false non-matches
    they are coarse. Drawing images that are not independent (several of a person) makes
    intervals too narrow as well. Where each of many images is in few comparisons,
    intervals of the bootstrap are too wide, by up to about √3 (Owen).

    References
    ----------
    Bolle, Ratha & Pankanti (2004). Error analysis of pattern recognition systems: the
    subsets bootstrap. Computer Vision and Image Understanding 93: persons, not
    comparisons, are drawn. Owen (2007). The pigeonhole bootstrap. Annals of Applied
    Statistics 1: products of weights.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs
    >>> rng = np.random.default_rng(0)
    >>> who = np.arange(60) // 3
    >>> embeddings = rng.normal(size=(20, 8))[who] + rng.normal(size=(60, 8))
    >>> found = edc_replicates(all_pairs(embeddings, who), who, {"one": rng.random(60)},
    ...     fmrs=(0.1, 0.01), protocols=("fiqat", "crfiqa"), replicates=20)
    >>> [(part.protocol, part.fmr) for part in found]
    [('fiqat', 0.1), ('fiqat', 0.01), ('crfiqa', 0.1), ('crfiqa', 0.01)]
    >>> found[0].fnmr.shape, found[0].unit, found[0].unit_count
    ((1, 21, 96), 'identity', 20)
    """
    named = [find_protocol(protocol) for protocol in protocols]
    grid, limits = _checked(fmrs, named, discard_fraction, max_discards, replicates)
    if not quality:
        message = "there is no quality; give at least one, by name"
        raise InputError(message)
    checked_values("similarity", pairs.similarity)
    checked_mated(pairs.mated, len(pairs.similarity))
    units = find_units(pairs, identities)
    images = images_compared(pairs)
    values = [checked_quality(each, images) for each in quality.values()]

    settings = [Setting(switches, fmr) for _, switches in named for fmr in fmrs]
    draws = _draws(units, method, replicates, seed)
    evaluation = Evaluation(pairs, units, settings, draws, grid, limits)
    totals = None if evaluation.needs_pooled() else evaluation.total_weights()
    found = np.stack([curves_of_quality(evaluation, each, totals) for each in values])
    names = [name for name, _ in named for _ in fmrs]
    return tuple(
        Replicates(
            tuple(quality),
            name,
            setting.switches,
            setting.fmr,
            grid,
            found[:, :, place, : len(grid)],
            limits,
            found[:, :, place, len(grid) :],
            units.kind,
            units.size,
            draws.method,
        )
        for place, (name, setting) in enumerate(zip(names, settings, strict=True))
    )


def _draws(units: Units, method: str | None, replicates: int, seed: int) -> Draws:
    few = units.kind == "identity" and units.size <= MOST_LEFT_OUT
    chosen = ("jackknife" if few else "bootstrap") if method is None else method
    check_choice("method", chosen, get_args(Method))
    if chosen == "jackknife":
        if replicates < 2:
            message = f"replicates={replicates}: a jackknife takes at least 2"
            raise InputError(message)
        return Draws("jackknife", min(replicates, units.size), seed)
    return Draws("bootstrap", replicates, seed)


def _checked(
    fmrs: Sequence[float],
    named: list[tuple[str, Protocol]],
    discard_fraction: ArrayLike,
    max_discards: Sequence[float],
    replicates: int,
) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    for fmr in fmrs:
        check_fmr(fmr)
    if not fmrs or not named or not max_discards:
        message = "give at least one FMR, one protocol and one upper limit of areas"
        raise InputError(message)
    has_grid = any(switches.steps == "grid" for _, switches in named)
    last = float(GRID[-1]) if has_grid else 1.0
    grid = checked_values("discard_fraction", discard_fraction).astype(np.float64)
    if grid.min() < 0 or grid.max() >= 1 or grid.max() > last + ROUNDING:
        wanted = f"[0, {last:g}]" if has_grid else "[0, 1)"
        message = (
            f"discard_fraction has {grid.min():g} to {grid.max():g}, not in {wanted}"
        )
        raise InputError(message)
    for limit in max_discards:
        check_max_discard(limit, last)
    if replicates < 1:
        message = f"replicates={replicates}: give at least 1 replicate"
        raise InputError(message)
    return grid, tuple(float(limit) for limit in max_discards)
