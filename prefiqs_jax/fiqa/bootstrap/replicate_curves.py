"""One quality's curves on all replicates.

Each equals the curve of :func:`edc` on the list in which every comparison is repeated
as often as its weight says.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from prefiqs_jax.execution.threads import in_threads
from prefiqs_jax.fiqa.bootstrap import pooled
from prefiqs_jax.fiqa.bootstrap.pooled import PooledOrder, pooled_order, weight_before
from prefiqs_jax.fiqa.bootstrap.resampling import (
    Draws,
    Units,
    blocks,
    sides,
    weight_chunks,
)
from prefiqs_jax.fiqa.discard.cuts import (
    GRID,
    Counted,
    Order,
    by_quality,
    cut_at,
    discard_steps,
    weighted_order,
)
from prefiqs_jax.fiqa.discard.discard import pair_quality
from prefiqs_jax.fiqa.discard.edc import quiet_edc
from prefiqs_jax.fiqa.discard.levels import Rate, first_length, most_similar
from prefiqs_jax.fiqa.discard.protocol import Protocol
from prefiqs_jax.fiqa.discard.steps import fnmr_left, step_errors
from prefiqs_jax.fiqa.discard.summary import ROUNDING, area_under, read_curve
from prefiqs_jax.fiqa.verification.pairs import Pairs

# Numbers of one table of replicates held at once: 128 MB in float32.
_CHUNK_NUMBERS = 2**25
# Shorter lists are gone through faster than threads take turns at the interpreter.
_WORTH_THREADS = 2**13

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


class Setting(NamedTuple):
    """A protocol and a rate."""

    switches: Protocol
    fmr: float

    @property
    def is_pooled(self) -> bool:
        """Whether it takes all comparisons in the order of quality."""
        return self.switches.discard == "pooled" and self.switches.steps == "grid"

    @property
    def is_repeated(self) -> bool:
        """Whether it is computed on the list written out, as no preset is."""
        switches = self.switches
        if switches.discard == "pooled":
            return not self.is_pooled
        by_steps = switches.steps == "grid" or switches.ties == "group"
        return switches.threshold != "fixed" or not by_steps


class Evaluation(NamedTuple):
    """Comparisons, settings and replicates: all that is shared by the qualities."""

    pairs: Pairs
    units: Units
    settings: list[Setting]
    draws: Draws
    grid: Float[np.ndarray, " points"]
    """Where curves are read."""
    limits: tuple[float, ...]
    """Up to where areas are taken."""

    @property
    def steps(self) -> Float[np.ndarray, " steps"]:
        """The steps of the protocols' grid up to the last place that is read."""
        last = max(float(self.grid.max()), *self.limits)
        return GRID[: np.searchsorted(GRID, last - ROUNDING) + 1]

    def needs_pooled(self) -> bool:
        """Whether some setting takes all comparisons in the order of quality."""
        return any(setting.is_pooled for setting in self.settings)

    def total_weights(self) -> Float[np.ndarray, " draws"]:
        """Sum the weights of all comparisons, for each replicate."""
        size = self.units.size + 1
        # How often two units meet; w · (table w) is the total of their weights.
        table = sparse.csr_array((size, size))
        for part in blocks(len(self.pairs.first)):
            where = sides(self.pairs, self.units, part)
            ones = np.ones(len(where[0]))
            table += sparse.csr_array((ones, where), shape=(size, size))
        chunks = weight_chunks(self.units, self.draws, _chunk_size(0, self.units))
        sums = [np.einsum("ur,ru->r", table @ each.T, each) for each in chunks]
        return np.concatenate(sums)


class _Listed(NamedTuple):
    """Some comparisons, in the order of their similarity."""

    similarity: NDArray[np.floating]
    one: NDArray[np.integer]
    other: NDArray[np.integer]
    """The units whose weights multiply to that of the comparison."""
    place: NDArray[np.integer]
    """Where each stands in the order of discard."""
    is_all: bool = True

    def counted(self, each: NDArray[np.float64]) -> Counted:
        """Keep those that count, by their weights."""
        rows = np.flatnonzero(each)
        return Counted(self.similarity[rows], each[rows], self.place[rows])

    def weights(self, weight: NDArray[np.float32]) -> NDArray[np.float64]:
        """Weigh them by how often their units were drawn."""
        return (weight[self.one] * weight[self.other]).astype(np.float64)


class _Sample(NamedTuple):
    """What is shared by the replicates of one quality."""

    pooled: PooledOrder | None
    mated: dict[bool, _Listed]
    """By rising similarity, with places among all comparisons, or among the mated."""
    group_start: NDArray[np.intp]
    """Where each group of equal quality starts among the mated."""
    image_quality: NDArray[np.float64]


def curves_of_quality(
    evaluation: Evaluation,
    image_quality: NDArray[np.float64],
    totals: NDArray[np.float64] | None,
) -> Float[np.ndarray, "draws settings columns"]:
    """Compute the curves of one quality for every setting, on every replicate.

    ``totals`` are those of ``total_weights``; None if a setting is pooled, which knows
    them. Columns are FNMR at the grid, then areas; the first draw is the comparisons as
    they are.
    """
    pairs, units = evaluation.pairs, evaluation.units
    sample = _sample(evaluation, image_quality)
    order = sample.pooled
    fmrs = {setting.fmr for setting in evaluation.settings}
    others = len(pairs.mated) - len(sample.mated[False].place)
    tops = {fmr: _top(evaluation, order, first_length(fmr, others)) for fmr in fmrs}
    listed = len(pairs.mated) - others + max(len(top.place) for top in tops.values())
    threads = None if listed > _WORTH_THREADS else 1
    one_replicate = partial(_replicate, evaluation, sample, tops)
    parts, done = [], 0
    size = _chunk_size(0 if order is None else len(pairs.mated), units)
    for weights in weight_chunks(units, evaluation.draws, size):
        if order is not None:
            befores = weight_before(order.one, order.other, weights)
        else:
            assert totals is not None
            befores = totals[done : done + len(weights), None]
        done += len(weights)
        drawn = zip(weights, befores, strict=True)
        parts += in_threads(one_replicate, drawn, threads=threads)
    return np.stack(parts)


def _chunk_size(comparisons: int, units: Units) -> int:
    return max(1, _CHUNK_NUMBERS // max(comparisons // pooled.BLOCK, units.size + 1))


def _sample(evaluation: Evaluation, image_quality: NDArray[np.float64]) -> _Sample:
    pairs = evaluation.pairs
    row = np.flatnonzero(pairs.mated)
    quality = np.minimum(
        image_quality[pairs.first[row]], image_quality[pairs.second[row]]
    )
    among_ties, place = by_quality(quality)  # the first in the list goes first
    rising = np.argsort(pairs.similarity[row], kind="stable")
    similar = row[rising]
    one, other = sides(pairs, evaluation.units, similar)
    among_mated = _Listed(pairs.similarity[similar], one, other, place[rising])
    mated, every = {False: among_mated}, None
    if evaluation.needs_pooled():
        every = pooled_order(pairs, evaluation.units, image_quality)
        mated[True] = among_mated._replace(place=every.place[similar])
    return _Sample(every, mated, among_ties.group_start, image_quality)


def _top(evaluation: Evaluation, order: PooledOrder | None, length: int) -> _Listed:
    """List the most similar non-mated comparisons."""
    pairs = evaluation.pairs
    top, is_all = most_similar(pairs.similarity, pairs.mated, length)
    one, other = sides(pairs, evaluation.units, top)
    place = top if order is None else order.place[top]
    return _Listed(pairs.similarity[top], one, other, place, is_all)


def _replicate(
    evaluation: Evaluation,
    sample: _Sample,
    tops: dict[float, _Listed],
    drawn: tuple[NDArray[np.float32], NDArray[np.float64]],
) -> Float[np.ndarray, "settings columns"]:
    """Compute one replicate's curves and areas for every setting.

    It is given by the weights of the units, and by that of all comparisons before each
    block of the pooled order (or only of all together, which is last).
    """
    weight, before = drawn
    by_kind = sample.mated[False]
    each = by_kind.weights(weight)
    mated = {kind: part.counted(each) for kind, part in sample.mated.items()}
    in_order = np.empty(len(each))
    in_order[by_kind.place] = each
    orders = {False: weighted_order(sample.group_start, in_order)}
    if sample.pooled is not None:
        orders[True] = sample.pooled.weighted(before, weight)
    steps, rows = evaluation.steps, []
    for setting in evaluation.settings:
        order, its = orders[setting.is_pooled], mated[setting.is_pooled]
        found = None
        if setting.is_repeated:
            found = _repeated_curve(evaluation, sample, setting, weight)
        while found is None:
            top = tops[setting.fmr]
            rate = Rate(setting.fmr, setting.switches, top.is_all)
            similar = top.counted(top.weights(weight))
            found = _curve(order, before[-1], its, similar, rate, steps)
            if found is None:
                # All that come later start with the longer list; the curve is the same.
                length = 2 * len(top.place)
                tops[setting.fmr] = _top(evaluation, sample.pooled, length)
        how = setting.switches.interpolation
        areas = [area_under(*found, limit, how) for limit in evaluation.limits]
        rows.append([*read_curve(*found, evaluation.grid, how), *areas])
    return np.array(rows)


def _curve(
    order: Order,
    total: float,
    mated: Counted,
    top: Counted,
    rate: Rate,
    steps: NDArray[np.float64],
) -> Curve | None:
    """Compute one curve; None if the list of most similar ones is too short."""
    switches = rate.switches
    non_mated = total - mated.weight.sum()
    if order.total == 0 or (switches.threshold == "fixed" and non_mated == 0):
        return _unknown(switches)
    fraction, gone = discard_steps(order, switches, steps)
    cut = cut_at(order, gone, switches.ties)
    certain, tied = cut.tally(mated.place, mated.weight)
    others = certain, tied  # a fixed threshold does not look at them
    if switches.threshold == "per_step":
        others_tied = np.where(cut.end > cut.start, cut.size - tied, 0)
        others = total - order.weight_before(cut.end) - certain, others_tied
    found = step_errors(mated, top, (cut, cut), others, non_mated, rate)
    if found is None:
        return None
    fnmr = fnmr_left(*found, cut.in_mean(certain, tied))
    if switches.steps == "all":
        fnmr[-1] = 0
    return fraction, fnmr


def _unknown(switches: Protocol) -> Curve:
    """Give the curve where one kind of comparison was not drawn."""
    x = GRID if switches.steps == "grid" else np.array([0.0, 1.0])
    return x, np.full(len(x), np.nan)


def _repeated_curve(
    evaluation: Evaluation,
    sample: _Sample,
    setting: Setting,
    weight: NDArray[np.float32],
) -> Curve:
    """Compute the curve of the list in which comparisons are repeated."""
    pairs = evaluation.pairs
    one, other = sides(pairs, evaluation.units, slice(None))
    copies = (weight[one] * weight[other]).astype(np.intp)
    row = np.repeat(np.arange(len(copies)), copies)
    mated = pairs.mated[row]
    if mated.all() or not mated.any():
        return _unknown(setting.switches)
    quality = pair_quality(sample.image_quality, pairs)[row]
    curve = quiet_edc(
        pairs.similarity[row], mated, quality, setting.fmr, protocol=setting.switches
    )
    return curve.discard_fraction, curve.fnmr
