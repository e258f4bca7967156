"""One quality's curves on all replicates."""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.execution.threads import in_threads
from prefiqs_jax.fiqa.bootstrap.pooled import (
    PooledOrder,
    find_cut,
    pooled_order,
    weight_before,
)
from prefiqs_jax.fiqa.bootstrap.resampling import Draws, Units, sides, weight_chunks
from prefiqs_jax.fiqa.bootstrap.weighted import (
    Counted,
    Listed,
    Rate,
    counted,
    fixed_threshold,
    mated_curve,
    pooled_curve,
)
from prefiqs_jax.fiqa.discard.cuts import GRID, Cut
from prefiqs_jax.fiqa.discard.discard import pair_quality
from prefiqs_jax.fiqa.discard.edc import quiet_edc
from prefiqs_jax.fiqa.discard.levels import first_length, most_similar
from prefiqs_jax.fiqa.discard.protocol import Protocol
from prefiqs_jax.fiqa.discard.reading import ROUNDING, area_under, read_curve
from prefiqs_jax.fiqa.verification.pairs import Pairs

# Numbers of one table of replicates held at once: 128 MB in float32.
_CHUNK_NUMBERS = 2**25
# Shorter lists are gone through faster than threads take turns at the interpreter.
_WORTH_THREADS = 2**13


class Setting(NamedTuple):
    """A protocol and a rate."""

    switches: Protocol
    fmr: float

    @property
    def way(self) -> str:
        """How it is computed: ``pooled``, ``mated``, or on the list ``repeated``."""
        switches = self.switches
        is_fixed, is_grid = switches.threshold == "fixed", switches.steps == "grid"
        if switches.discard == "pooled":
            return "pooled" if is_grid else "repeated"
        by_groups = switches.ties == "group" and switches.interpolation == "step"
        return "mated" if is_fixed and (is_grid or by_groups) else "repeated"


class Reading(NamedTuple):
    """Where curves are read, and up to where areas are taken."""

    grid: Float[np.ndarray, " points"]
    limits: tuple[float, ...]

    @property
    def steps(self) -> Float[np.ndarray, " steps"]:
        """The steps of the grid up to the last place that is read."""
        last = max(float(self.grid.max()), *self.limits)
        return GRID[: np.searchsorted(GRID, last - ROUNDING) + 1]


class Evaluation(NamedTuple):
    """What does not depend on the quality."""

    pairs: Pairs
    units: Units
    settings: list[Setting]
    mated_row: NDArray[np.intp]
    """Which comparisons are mated."""
    non_mated_total: Float[np.ndarray, " 1+replicates"]
    """Weight of all non-mated comparisons; unless a setting is pooled, which tells."""
    draws: Draws
    reading: Reading


class _Top(NamedTuple):
    """The most similar non-mated comparisons, by falling similarity."""

    listed: Listed
    place: NDArray[np.integer]
    is_all: bool


class _Sample(NamedTuple):
    """What depends on the quality, but not on the replicate."""

    order: PooledOrder | None
    mated: Listed
    """By rising similarity."""
    mated_place: NDArray[np.integer]
    """Of those, in the pooled order."""
    by_quality: Listed
    """The mated ones again, lowest quality first."""
    group_start: NDArray[np.intp]
    """Where each group of equal quality starts among these."""
    pair_quality: NDArray[np.float64] | None
    """Of all comparisons, if a list must be repeated."""


class _Drawn(NamedTuple):
    """One replicate."""

    weight: NDArray[np.float32]
    non_mated: float
    """Weight of all non-mated comparisons, unless ``before`` tells."""
    before: NDArray[np.float64] | None
    """Weight before each block of the pooled order, and in all."""


def curves_of_quality(
    evaluation: Evaluation, image_quality: NDArray[np.float64]
) -> Float[np.ndarray, "1+replicates settings columns"]:
    """Compute the curves of one quality for every setting, on every replicate.

    Parameters
    ----------
    evaluation
        Comparisons, settings, draws, and where to read.
    image_quality
        Shape (images,), higher = better.

    Returns
    -------
    ndarray
        Shape (1 + replicates, settings, points + limits): FNMR, then areas; first, on
        the comparisons as they are.
    """
    units = evaluation.units
    sample = _sample(evaluation, image_quality)
    tops = {
        fmr: _top(evaluation, sample, fmr)
        for fmr in {setting.fmr for setting in evaluation.settings}
    }
    rows = 0 if sample.order is None else len(sample.order.block_start)
    size = max(1, _CHUNK_NUMBERS // max(rows, units.size + 1))
    listed = max(len(top.place) for top in tops.values()) + len(evaluation.mated_row)
    threads = None if listed > _WORTH_THREADS else 1
    parts, done = [], 0
    for weights in weight_chunks(units, evaluation.draws, size):
        totals = evaluation.non_mated_total[done : done + len(weights)]
        done += len(weights)
        befores = [None] * len(weights)
        if sample.order is not None:
            befores = list(weight_before(sample.order, weights))
        drawn = [_Drawn(*each) for each in zip(weights, totals, befores, strict=True)]
        one_replicate = partial(_replicate, evaluation, sample, tops)
        parts += in_threads(one_replicate, drawn, threads=threads)
    return np.stack(parts)


def _sample(evaluation: Evaluation, image_quality: NDArray[np.float64]) -> _Sample:
    pairs, units, row = evaluation.pairs, evaluation.units, evaluation.mated_row
    ways = {setting.way for setting in evaluation.settings}
    order = None
    if "pooled" in ways:
        ties = {s.switches.ties for s in evaluation.settings if s.way == "pooled"}
        order = pooled_order(pairs, units, image_quality, ties=ties)
    similar = row[np.argsort(pairs.similarity[row], kind="stable")]
    quality = np.minimum(
        image_quality[pairs.first[row]], image_quality[pairs.second[row]]
    )
    worst_first = np.argsort(quality, kind="stable")
    in_order = quality[worst_first]
    return _Sample(
        order,
        _listed(evaluation, similar),
        np.zeros(len(row), np.int32) if order is None else order.place[similar],
        _listed(evaluation, row[worst_first]),
        np.append(0, np.flatnonzero(in_order[1:] != in_order[:-1]) + 1),
        pair_quality(image_quality, pairs) if "repeated" in ways else None,
    )


def _listed(evaluation: Evaluation, row: NDArray[np.integer]) -> Listed:
    one, other = sides(evaluation.pairs, evaluation.units, row)
    return Listed(evaluation.pairs.similarity[row], one, other)


def _top(
    evaluation: Evaluation, sample: _Sample, fmr: float, shorter: _Top | None = None
) -> _Top:
    """List the most similar non-mated ones, twice as many as before if that was few."""
    pairs = evaluation.pairs
    length = first_length(fmr, len(pairs.mated) - len(evaluation.mated_row))
    if shorter is not None:
        length = 2 * len(shorter.place)
    top = most_similar(pairs.similarity, pairs.mated, length)
    place = np.zeros(len(top.row), np.int32)
    if sample.order is not None:
        place = sample.order.place[top.row]
    return _Top(_listed(evaluation, top.row), place, top.is_all)


def _replicate(
    evaluation: Evaluation, sample: _Sample, tops: dict[float, _Top], drawn: _Drawn
) -> Float[np.ndarray, "settings columns"]:
    """Compute one replicate's curves and areas for every setting."""
    mated = counted(sample.mated, sample.mated_place, drawn.weight)
    cuts: dict[str, tuple[Cut, NDArray[np.float64]]] = {}
    rows = []
    for setting in evaluation.settings:
        found = None
        while found is None:
            top = tops[setting.fmr]
            found = _curve(evaluation, sample, setting, top, mated, drawn, cuts)
            if found is None:
                # All that come later start with the longer list; the curve is the same.
                tops[setting.fmr] = _top(evaluation, sample, setting.fmr, top)
        x, y = found
        interpolation = setting.switches.interpolation
        reading = evaluation.reading
        areas = [area_under(x, y, limit, interpolation) for limit in reading.limits]
        rows.append([*read_curve(x, y, reading.grid, interpolation), *areas])
    return np.array(rows)


def _curve(
    evaluation: Evaluation,
    sample: _Sample,
    setting: Setting,
    top: _Top,
    mated: Counted,
    drawn: _Drawn,
    cuts: dict[str, tuple[Cut, NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Compute one curve, or None if the list of most similar ones is too short."""
    switches = setting.switches
    if setting.way == "repeated":
        return _repeated_curve(evaluation, sample, setting, drawn.weight)
    rate = Rate(setting.fmr, top.is_all)
    similar = counted(top.listed, top.place, drawn.weight)
    threshold = None
    if switches.threshold == "fixed":
        others = drawn.non_mated
        if drawn.before is not None:
            others = drawn.before[-1] - mated.weight.sum()
        threshold = fixed_threshold(mated, similar, others, rate, switches)
        if threshold is None:
            return None
    if setting.way == "mated":
        listed = sample.by_quality
        weight = (drawn.weight[listed.one] * drawn.weight[listed.other]).astype(float)
        level = float("nan") if threshold is None else threshold
        return mated_curve(
            listed.similarity, weight, sample.group_start, level, switches
        )
    order, before = sample.order, drawn.before
    assert order is not None  # of the way "pooled"
    assert before is not None
    total = before[-1]
    steps = evaluation.reading.steps
    if total == 0:
        return steps, np.full(len(steps), np.nan)
    if switches.ties not in cuts:
        target = np.floor(steps * total)
        cuts[switches.ties] = find_cut(
            order, before, drawn.weight, target, ties=switches.ties
        )
    cut, gone = cuts[switches.ties]
    fnmr = pooled_curve(mated, similar, cut, total - gone, threshold, rate, switches)
    return None if fnmr is None else (steps, fnmr)


def _repeated_curve(
    evaluation: Evaluation,
    sample: _Sample,
    setting: Setting,
    weight: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Write out the list in which comparisons are repeated, and compute its curve."""
    pairs = evaluation.pairs
    one, other = sides(pairs, evaluation.units, slice(None))
    copies = (weight[one] * weight[other]).astype(np.intp)
    row = np.repeat(np.arange(len(copies)), copies)
    mated = pairs.mated[row]
    if mated.all() or not mated.any():
        x = GRID if setting.switches.steps == "grid" else np.array([0.0, 1.0])
        return x, np.full(len(x), np.nan)
    quality = sample.pair_quality
    assert quality is not None  # of the way "repeated"
    curve = quiet_edc(
        pairs.similarity[row],
        mated,
        quality[row],
        setting.fmr,
        None,
        None,
        setting.switches,
    )
    return curve.discard_fraction, curve.fnmr
