"""Which comparisons each step of a curve discards, and what becomes of ties there.

A step ends somewhere in the order of quality. Where it ends inside a group of equal
quality, the order within the group is nobody's choice: of ``size`` tied comparisons,
``kept`` stay, and in the mean over all orders each of them stays with the probability
``kept / size``. So each counts as that fraction, as whole numbers: ``kept``, where all
others count ``size``.
"""

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
        """Say which comparisons stay at a step, and as how many each counts.

        Parameters
        ----------
        place
            Of the comparisons, in the order of quality.
        step
            Which step.

        Returns
        -------
        tuple of ndarray
            Rows, and their weights: ``size``, and ``kept`` of those tied at the cut.
        """
        rows = np.flatnonzero(place >= self.start[step])
        weight = np.full(len(rows), self.size[step])
        if self.end[step] > self.start[step]:
            weight[place[rows] < self.end[step]] = self.kept[step]
        return rows, weight

    def tally(
        self, places: NDArray[np.integer]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Count, of comparisons at rising places, those that stay and those tied."""
        end = np.searchsorted(places, self.end)
        return len(places) - end, end - np.searchsorted(places, self.start)

    def share(self, tied: NDArray[np.intp]) -> Num[np.ndarray, " steps"]:
        """Say how many of those tied at each cut stay in the mean."""
        if (self.size == 1).all():
            return tied
        return tied * self.kept / self.size


class Side(NamedTuple):
    """The mated or the non-mated comparisons, and what each step keeps of them."""

    place: Int[np.ndarray, " comparisons"]
    """Of each, in the order of quality: among its kind, or among all."""
    cut: Cut
    certain: Int[np.ndarray, " steps"]
    """How many stay, ties at the cut not counted."""
    tied: Int[np.ndarray, " steps"]
    """How many are tied there, and stay in part."""

    @property
    def left(self) -> Num[np.ndarray, " steps"]:
        """How many are left, no whole number where ties stay in part."""
        return self.certain + self.cut.share(self.tied)


class Plan(NamedTuple):
    """What goes at each step."""

    fraction: Float[np.ndarray, " steps"]
    mated: Side
    non_mated: Side
    tied_fraction: Float[np.ndarray, " steps"]
    """Share of the comparisons sorted together whose quality is that at the cut, where
    the step ends between them."""


def plan_discard(
    quality: NDArray[np.floating], is_mated: NDArray[np.bool_], switches: Protocol
) -> Plan:
    """Give the discard fraction of each step, and what of either kind it takes.

    Parameters
    ----------
    quality, is_mated
        Shape (comparisons,).
    switches
        Of the protocol.
    """
    mated_count = int(is_mated.sum())
    if switches.discard == "pooled":
        in_order, place = _places(quality)
        fraction, gone = _steps(len(quality), in_order, switches)
        cut, tied = _cut(gone, in_order, switches)
        other_side = _side(place[~is_mated], cut)
        return Plan(fraction, _side(place[is_mated], cut), other_side, tied)
    in_order, place = _places(quality[is_mated])
    fraction, gone = _steps(mated_count, in_order, switches)
    cut, tied = _cut(gone, in_order, switches)
    mated = _side(place, cut)
    others = len(quality) - mated_count
    other_quality, other_gone = np.zeros(0), np.zeros_like(gone)
    other_place = np.arange(others, dtype=np.int32)
    if switches.discard == "proportional":
        other_quality, other_place = _places(quality[~is_mated])
        if switches.steps == "grid":
            other_gone = (fraction * others).astype(np.intp)
        else:
            other_gone = gone * others // mated_count
    other_cut, other_tied = _cut(other_gone, other_quality, switches)
    other = _side(other_place, other_cut)
    return Plan(fraction, mated, other, np.maximum(tied, other_tied))


def _places(
    quality: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.int32]]:
    """Sort by quality, and say which place of that order each comparison has."""
    order = np.argsort(quality, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return quality[order], place


def _steps(
    count: int, in_order: NDArray[np.floating], switches: Protocol
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Give fractions, and how many comparisons go."""
    if switches.steps == "grid":
        return GRID, (GRID * count).astype(np.intp)
    steps = np.arange(count + 1)
    if switches.ties == "group":
        changes = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
        steps = np.concatenate([[0], changes, [count]])
    return steps / count, steps


def _cut(
    gone: NDArray[np.intp], in_order: NDArray[np.floating], switches: Protocol
) -> tuple[Cut, NDArray[np.float64]]:
    """Find the groups of ties in which steps end, and how large they are."""
    start, end = gone.copy(), gone.copy()
    inside = gone < len(in_order)
    value = in_order[gone[inside]]
    start[inside] = np.searchsorted(in_order, value)
    end[inside] = np.searchsorted(in_order, value, side="right")
    is_split = start < gone
    tied = np.where(is_split, end - start, 0) / max(1, len(in_order))
    one = np.ones_like(gone)
    if switches.ties == "group":
        return Cut(start, start, one, one), np.zeros(len(gone))
    if switches.ties == "listed":
        return Cut(gone, gone, one, one), tied
    return (
        Cut(
            np.where(is_split, start, gone),
            np.where(is_split, end, gone),
            np.where(is_split, end - gone, 1),
            np.where(is_split, end - start, 1),
        ),
        tied,
    )


def _side(place: NDArray[np.int32], cut: Cut) -> Side:
    return Side(place, cut, *cut.tally(np.sort(place)))
