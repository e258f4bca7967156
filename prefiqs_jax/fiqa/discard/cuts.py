"""Which comparisons each step of a curve discards, and how ties are counted.

A step ends somewhere in the order of quality. Where it ends inside a group of equal
quality, the order within the group is arbitrary: of ``size`` tied comparisons, ``kept``
stay, and in the mean over all orders each of them stays with the probability
``kept / size``. So each counts as that fraction, as whole numbers: ``kept``, where all
others count ``size``.

Comparisons may count several times (a weight), or not at all, as in a bootstrap
replicate.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num
from numpy.typing import NDArray

from prefiqs_jax.fiqa.discard.protocol import Protocol

GRID = np.arange(0, 0.98, 0.05)
"""Discard fractions of ``steps="grid"``, as published, rounding included: 0.15 is
0.15000000000000002."""
GRID.flags.writeable = False


class Counted(NamedTuple):
    """Comparisons of one kind, as often as each counts."""

    similarity: Float[np.ndarray, " comparisons"]
    weight: Num[np.ndarray, " comparisons"]
    """Whole numbers above zero: how often each counts."""
    place: Int[np.ndarray, " comparisons"]
    """Where each stands in the order of discard."""

    def take(self, rows: NDArray[np.intp]) -> "Counted":
        """Take some of them."""
        return Counted(*(column[rows] for column in self))


class Cut(NamedTuple):
    """Where each step ends in the order of quality."""

    start: Int[np.ndarray, " steps"]
    """All comparisons before this place go."""
    end: Int[np.ndarray, " steps"]
    """Those from ``start`` to before this place are tied there and stay in part."""
    kept: Num[np.ndarray, " steps"]
    """Weight of those that stays; 1 if there are none."""
    size: Num[np.ndarray, " steps"]
    """Weight of all of those; 1 if there are none."""

    def weighed(
        self, place: NDArray[np.integer], step: int
    ) -> tuple[NDArray[np.intp], Num[np.ndarray, " rows"]]:
        """Give the rows that stay at a step: ``size`` of each, ``kept`` of the tied."""
        rows = np.flatnonzero(place >= self.start[step])
        weight = np.full(len(rows), self.size[step])
        if self.end[step] > self.start[step]:
            weight[place[rows] < self.end[step]] = self.kept[step]
        return rows, weight

    def tally(
        self, place: NDArray[np.integer], weight: NDArray[np.number] | None = None
    ) -> tuple[Num[np.ndarray, " steps"], Num[np.ndarray, " steps"]]:
        """Weigh those that stay for sure at each step, and those tied at its cut.

        ``place`` are the places of some comparisons in the order of quality.
        """
        cuts = np.stack([self.start, self.end])
        if weight is None:
            start, end = np.searchsorted(np.sort(place), cuts)
            return len(place) - end, end - start
        order = np.argsort(place)
        before = np.append(0, np.cumsum(weight[order]))
        start, end = before[np.searchsorted(place[order], cuts)]
        return before[-1] - end, end - start

    def left(
        self, place: NDArray[np.integer], weight: NDArray[np.number] | None = None
    ) -> Num[np.ndarray, " steps"]:
        """Weigh what each step leaves in the mean, of comparisons as of ``tally``."""
        return self.in_mean(*self.tally(place, weight))

    def in_mean(
        self, certain: NDArray[np.number], tied: NDArray[np.number]
    ) -> Num[np.ndarray, " steps"]:
        """Add to what stays for sure the share of the ties that does."""
        if (self.size == 1).all():
            return certain + tied
        return certain + tied * self.kept / self.size


class Order(NamedTuple):
    """Comparisons by rising quality, and how their weights add up."""

    group_start: Int[np.ndarray, " starts"]
    """Where each group of equal quality starts, and how many comparisons there are."""
    total: float
    """Weight of all."""
    weight_before: Callable[[NDArray[np.intp]], NDArray[np.number]]
    """Places to the weight of all comparisons before each."""
    place_of: Callable[[NDArray[np.intp]], NDArray[np.intp]]
    """Weights to the comparison in which a discard of so much ends."""


def group_bounds(in_order: NDArray[np.number]) -> Int[np.ndarray, " starts"]:
    """Find where groups of equal values start, and the last one ends.

    >>> group_bounds(np.array([1, 1, 4]))
    array([0, 2, 3])
    """
    changes = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    return np.concatenate([[0], changes, [len(in_order)]])


def weighted_order(
    group_start: NDArray[np.intp], weight: Num[np.ndarray, " comparisons"]
) -> Order:
    """Make the order of comparisons that are listed by rising quality."""
    before = np.append(0, np.cumsum(weight))
    return Order(
        group_start,
        before[-1],
        before.__getitem__,
        lambda target: np.searchsorted(before, target, side="right") - 1,
    )


def by_quality(
    quality: NDArray[np.floating],
) -> tuple[Order, Int[np.ndarray, " comparisons"]]:
    """Sort comparisons that count once; give the order, and the place of each."""
    order = np.argsort(quality, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    bounds = group_bounds(quality[order])
    return Order(bounds, len(order), lambda each: each, lambda each: each), place


def discard_steps(
    order: Order, switches: Protocol, grid: NDArray[np.float64] = GRID
) -> tuple[Float[np.ndarray, " steps"], Int[np.ndarray, " steps"]]:
    """Give the discard fraction of each step, and the weight that goes."""
    if switches.steps == "grid":
        return grid, np.floor(grid * order.total).astype(np.intp)
    if switches.ties == "group":
        bounds = order.weight_before(order.group_start)
        # A group of which nothing was drawn is no step.
        gone = bounds[np.diff(bounds, prepend=-1) > 0].astype(np.intp)
    else:
        gone = np.arange(int(order.total) + 1)
    return gone / order.total, gone


def cut_at(order: Order, gone: NDArray[np.intp], ties: str) -> Cut:
    """Find where discards of the weights ``gone`` end, with ``ties`` as in a Protocol.

    If "listed", a cut may end between the copies of one comparison, which then stays in
    part; if "group", less may go.
    """
    start = order.place_of(gone)
    end = np.minimum(start + 1, order.group_start[-1])
    if ties != "listed":
        group = np.searchsorted(order.group_start, start, side="right") - 1
        start = order.group_start[group]
        end = order.group_start[np.minimum(group + 1, len(order.group_start) - 1)]
    one = np.ones_like(gone)
    if ties == "group":
        return Cut(start, start, one, one)
    before = order.weight_before(start)
    size = order.weight_before(end) - before
    kept = before + size - gone
    whole = kept == size
    return Cut(
        start,
        np.where(whole, start, end),
        np.where(whole, one, kept),
        np.where(whole, one, size),
    )
