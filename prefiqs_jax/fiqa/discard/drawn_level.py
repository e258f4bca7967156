"""The threshold at a false match rate over orders of ties, where similarities tie too.

A threshold lies at a value, and whole groups of equal similarity match or do not. How
many of each group a step keeps is drawn, for a fixed number of orders.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import NDArray

from prefiqs_jax.fiqa.discard.levels import Level, Rate
from prefiqs_jax.fiqa.discard.protocol import Protocol

# Their mean has a sixteenth of the standard deviation between orders.
_ORDERS = 256
# Where a count is sure to lie, in standard deviations, and a group not to be empty.
_WIDTH, _SURE = 7.0, 1e-12
# Numpy draws from no larger populations; there, the binomial is the same.
_LARGEST = 10**9


class Part(NamedTuple):
    """Comparisons of one kind that a step keeps, or may keep."""

    similarity: Float[np.ndarray, " rows"]
    weight: Num[np.ndarray, " rows"]
    """How often each counts, whole numbers above zero."""
    stays: Float[np.ndarray, " rows"]
    """The chance that each copy stays: 1, but of those tied at the cut."""


class Tie(NamedTuple):
    """Weights of the group of ties at a cut."""

    kept: float
    """Weight of those that stay, of either kind."""
    size: float
    """Weight of all."""
    non_mated: float
    """Weight of the non-mated ones."""
    certain: float
    """Weight of the non-mated comparisons that stay for sure."""


class Groups(NamedTuple):
    """Comparisons of one kind, by equal similarity."""

    value: Float[np.ndarray, " groups"]
    sure: Num[np.ndarray, " groups"]
    """Weight of those that stay for sure."""
    tied: Num[np.ndarray, " groups"]
    """Weight of those tied in quality at the cut."""


def similarity_groups(part: Part) -> Groups:
    """Sum the weights of equal similarities, in the order of the list."""
    start = np.flatnonzero(np.diff(part.similarity, prepend=np.nan) != 0)
    by_chance = part.stays < 1
    return Groups(
        part.similarity[start],
        np.add.reduceat(np.where(by_chance, 0, part.weight), start),
        np.add.reduceat(np.where(by_chance, part.weight, 0), start),
    )


def first_in_doubt(groups: Groups, tie: Tie, fmr: float) -> int:
    """Find the first group, by falling similarity, that may be the last to match."""
    chance = tie.kept / tie.size
    tied = np.cumsum(groups.tied)
    reached = np.cumsum(groups.sure) + chance * tied
    left = tie.certain + chance * tie.non_mated
    spread = np.sqrt(chance * (1 - chance) * tied)
    of_left = fmr * np.sqrt(chance * (1 - chance) * tie.non_mated)
    in_doubt = reached + _WIDTH * (spread + of_left) + 1 > fmr * left
    first = int(np.argmax(in_doubt)) if in_doubt.any() else len(tied)
    # Before it, as many as are sure to have one that stays.
    none = np.cumsum(np.log1p(-chance) * groups.tied[:first][::-1])
    none[groups.sure[:first][::-1].cumsum() > 0] = -np.inf
    return max(0, first - 1 - int(np.searchsorted(-none, -np.log(_SURE))))


def drawn_level(
    groups: Groups, begin: int, mated: Part, tie: Tie, rate: Rate, *, seed: int
) -> Level | None:
    """Average the threshold and the false non-matches over 256 orders of ties.

    ``groups`` are the most similar non-mated comparisons, by falling similarity, of
    which ``begin`` is the first in doubt, see :func:`first_in_doubt`. The orders are
    drawn group by group: neither the order of the list matters, nor how much of it is
    given. None if it ends before the threshold is known; NaN if no order keeps a
    non-mated comparison.

    Each order of the non-mated comparisons is drawn exactly. Mated ones stay by their
    chance, independently of each other and of the non-mated ones.
    """
    found = _last_and_next(groups, begin, tie, rate, seed)
    if found is None:
        return None
    last, following = found
    if not len(last):
        return Level(float("nan"), float("nan"))
    pairs, times = np.unique(np.stack([last, following], 1), axis=0, return_counts=True)
    level = _Mated(mated, rate.switches)
    values = np.array([level.at(*pair) for pair in pairs.tolist()])
    return Level(*(float(mean) for mean in times @ values / times.sum()))


def _last_and_next(
    groups: Groups, begin: int, tie: Tie, rate: Rate, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Give the lowest similarity that matches (or inf) and the next one, per order."""
    fmr, switches, is_all = rate
    rng = np.random.default_rng(seed)
    pool = int(tie.non_mated)
    others = np.full(_ORDERS, int(tie.kept))
    left = _draw(rng, pool, int(tie.size) - pool, others)
    total = tie.certain + left
    is_open = total > 0
    total = np.maximum(total, 1)
    before = int(groups.tied[:begin].sum())
    taken = _draw(rng, before, pool - before, left)
    reached = groups.sure[:begin].sum() + taken
    left, pool = left - taken, pool - before
    last, following = np.full(_ORDERS, np.inf), np.full(_ORDERS, -np.inf)
    some = is_open.copy()
    for value, sure, tied in zip(*(part[begin:] for part in groups), strict=True):
        if not is_open.any():
            break
        taken = _draw(rng, int(tied), pool - int(tied), left)
        left, pool = left - taken, pool - int(tied)
        more = reached + sure + taken
        # As find_level divides.
        matches = more / total <= fmr
        if switches.rule != "at_most":
            matches |= np.abs(more / total - fmr) <= np.abs(reached / total - fmr)
        here = is_open & (more > reached)
        last[here & matches] = value
        following[here & ~matches] = value
        is_open &= ~here | matches
        reached = more
    if is_open.any() and not is_all:
        return None
    return last[some], following[some]


def _draw(
    rng: np.random.Generator, good: int, bad: int, taken: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Draw how many of the good ones are among those taken."""
    if good == 0:
        return np.zeros_like(taken)
    if good + bad < _LARGEST:
        return rng.hypergeometric(good, bad, taken)
    return np.minimum(rng.binomial(taken, good / (good + bad)), good)


class _Mated:
    """Threshold and false non-matches, given the last similarity that matches."""

    def __init__(self, mated: Part, switches: Protocol) -> None:
        self.switches = switches
        self.groups = similarity_groups(mated)
        stays = mated.stays.min(initial=1)
        self.expected = self.groups.sure + stays * self.groups.tied
        self.up_to = np.append(0, np.cumsum(self.expected))
        self.none = np.where(
            self.groups.sure > 0, 0.0, np.power(1.0 - stays, self.groups.tied)
        )

    def at(self, last: float, following: float) -> tuple[float, float]:
        rule, operator = self.switches.rule, self.switches.operator
        value = self.groups.value
        if rule == "nearest_non_mated":
            # Where none matches, the most similar one is the threshold all the same.
            threshold = following if last == np.inf else last
            side = "left" if operator == "ge" else "right"
            place = np.searchsorted(value, threshold, side)
            return threshold, float(self.up_to[place])
        first, end = np.searchsorted(value, [following, last], "right")
        errors = float(self.up_to[first])
        if rule == "at_most":
            return following, errors
        # The lowest that stays, of the mated ones up to the last that matches.
        none = np.append(1.0, np.cumprod(self.none[first:end]))
        if operator == "gt":
            errors += float(none[:-1] @ self.expected[first:end])
        threshold = float((none[:-1] - none[1:]) @ value[first:end])
        if none[-1] > 0:
            threshold += float(none[-1]) * (following if last == np.inf else last)
        return threshold, errors
