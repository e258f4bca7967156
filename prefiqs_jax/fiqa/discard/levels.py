"""The threshold at a false match rate, from the most similar non-mated comparisons.

A threshold depends on few comparisons: the most similar non-mated ones, about the rate
times their number, and the mated ones near it. So millions are never sorted. Each may
count several times (a weight), or not at all, as in a bootstrap replicate.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from prefiqs_jax.fiqa.discard.cuts import Counted
from prefiqs_jax.fiqa.discard.protocol import Protocol
from prefiqs_jax.fiqa.verification.verification import next_above

# Most steps and replicates need half of this share; the rest takes a longer list.
_MARGIN = 2.0
_FEWEST = 256


class Rate(NamedTuple):
    """What sets a threshold, and whether the list that it is found in is complete."""

    fmr: float
    """False match rate, in (0, 1)."""
    switches: Protocol
    """Rule and operator."""
    is_all: bool
    """Whether the non-mated comparisons that count are all listed."""


def first_length(fmr: float, non_mated_count: int) -> int:
    """Return how many of the most similar non-mated comparisons to search first.

    >>> first_length(1e-3, 1_000_000), first_length(1e-3, 100)
    (2256, 100)
    """
    return min(non_mated_count, _FEWEST + int(_MARGIN * fmr * non_mated_count))


def most_similar(
    similarity: Float[np.ndarray, " comparisons"],
    mated: Bool[np.ndarray, " comparisons"],
    length: int,
) -> tuple[Int[np.ndarray, " length"], bool]:
    """Find at least so many of the most similar non-mated comparisons, falling.

    Gives their rows, and whether there are no others. Those tied with the last come
    with it. The similarities are searched once, not
    sorted.

    >>> similarity, mated = np.array([0.1, 0.9, 0.5, 0.3]), np.array([0, 1, 0, 0], bool)
    >>> most_similar(similarity, mated, 2)
    (array([2, 3]), False)
    """
    non_mated = similarity[~mated]
    count = len(non_mated)
    if length >= count:
        row = np.flatnonzero(~mated)
    else:
        place = count - length
        non_mated.partition(place)
        row = np.flatnonzero((similarity >= non_mated[place]) & ~mated)
    del non_mated
    return row[np.argsort(similarity[row])[::-1]], len(row) == count


class Level(NamedTuple):
    """A threshold, and the mated comparisons that do not match at it."""

    threshold: float
    errors: float
    """Total weight of the false non-matches."""


def find_level(
    top: Counted, mated: Counted, non_mated_count: float, rate: Rate
) -> Level | None:
    """Find the threshold on comparisons that count as often as their weights say.

    ``top`` are the most similar non-mated ones, in falling order; ``mated`` all mated
    ones, in rising order; ``non_mated_count`` is the weight of all non-mated ones,
    above zero. None if ``top`` ends before the threshold is known; give a longer one.
    """
    fmr, switches, is_all = rate
    reached = np.cumsum(top.weight)
    # The most similar one that must not match, for the FMR to be at most as asked for.
    edge = int(np.searchsorted(reached / non_mated_count, fmr, "right"))
    if edge >= len(reached):
        return None
    value = top.similarity[edge]
    if switches.rule == "at_most":
        return _level(next_above(value), mated, switches)
    # The similarities at which a threshold may lie, beside the non-mated ones.
    candidates = mated.similarity
    if switches.rule == "nearest_non_mated":
        candidates = candidates[:0]
    # The FMR falls as the threshold rises, so only two levels can be the nearest: with
    # all at the edge (above the one asked for), and with none of them (at most it).
    rising = top.similarity[::-1]
    start = len(rising) - int(np.searchsorted(rising, value, "right"))
    end = len(rising) - int(np.searchsorted(rising, value, "left"))
    if end == len(rising) and not is_all:
        return None
    with_edge = int(reached[end - 1])
    without = int(reached[start - 1]) if start else 0
    off_above = abs(with_edge / non_mated_count - fmr)
    off_below = abs(without / non_mated_count - fmr)
    beyond = int(np.searchsorted(candidates, value, "right"))
    occurs = start > 0 or beyond < len(candidates)
    # Of the similarities with the chosen level, the lowest; it may be a mated one.
    if occurs and off_below < off_above:
        lowest = top.similarity[start - 1 : start]
        first = beyond
    else:
        lowest = top.similarity[edge : edge + 1]
        floor = top.similarity[end] if end < len(rising) else -np.inf
        first = int(np.searchsorted(candidates, floor, "right"))
    threshold = float(min((*lowest, *candidates[first : first + 1])))
    return _level(threshold, mated, switches)


def wrong_count(mated: Counted, threshold: float, switches: Protocol) -> int:
    """Count the mated comparisons, the first of the list, that do not match."""
    side = "left" if switches.operator == "ge" else "right"
    # In double precision where it matters: a float32 threshold is one of float64, too.
    return int(np.searchsorted(mated.similarity, np.float64(threshold), side))


def _level(threshold: float, mated: Counted, switches: Protocol) -> Level:
    count = wrong_count(mated, threshold, switches)
    return Level(threshold, float(mated.weight[:count].sum()))
