"""The threshold at a false match rate, in the mean over the orders of tied qualities.

A step that ends between comparisons of equal quality keeps some of them, any with the
same probability. Which non-mated comparison is the one below which the threshold lies
is then a matter of chance, with a known distribution: that so many of the more similar
ones stay is hypergeometric.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from prefiqs_jax.fiqa.discard.drawn_level import (
    Part,
    Tie,
    drawn_level,
    first_in_doubt,
    similarity_groups,
)
from prefiqs_jax.fiqa.discard.levels import Level, Rate
from prefiqs_jax.fiqa.discard.protocol import Protocol

# Comparisons looked at above a threshold for the first that stays: the others hardly
# ever are it.
_NEXT = 16
# Where the distribution of a count is cut off, in standard deviations.
_WIDTH = 7.0
# A list is long enough where the chance has fallen to so much of the largest, in its
# last entries.
_FALLEN, _LAST = 1e-14, 8


def expected_level(
    top: Part, mated: Part, tie: Tie, rate: Rate, *, seed: int
) -> Level | None:
    """Compute the mean threshold and the mean weight of the false non-matches.

    ``top`` are the most similar non-mated comparisons, in falling order, ``mated`` all
    mated ones, in rising order. None if ``top`` ends before the threshold is known.

    Exact but for this: how many of the ties that stay are non-mated enters by its mean
    where two numbers of them allow the same number of false matches; and the mated
    comparison that a threshold may lie on is sought among the next 16. Where non-mated
    comparisons of equal similarity (or copies) may lie at the threshold, it is the mean
    over 256 orders instead (:mod:`prefiqs_jax.fiqa.discard.drawn_level`).
    """
    fmr, switches, is_all = rate
    groups = similarity_groups(top)
    begin = first_in_doubt(groups, tie, fmr)
    if (groups.sure[begin:] + groups.tied[begin:] > 1).any():
        return drawn_level(groups, begin, mated, tie, rate, seed=seed)
    # One entry for each copy: where none is in doubt, their order does not matter.
    copies = np.repeat(np.arange(len(top.weight)), top.weight.astype(np.intp))
    is_tied = top.stays[copies] < 1
    tied_before = np.cumsum(is_tied) - is_tied
    sure_before = np.arange(len(copies)) - tied_before
    chance = np.zeros(len(copies))
    for matches, share, drawn in _allowed(tie, fmr, switches):
        if switches.rule == "nearest_non_mated":
            matches -= 1  # the threshold is the last that matches, not the next one
        chance += share * _is_next(
            matches, sure_before, tied_before, is_tied, drawn, tie.non_mated
        )
    most = chance.max(initial=0.0)
    if not is_all and (most == 0 or chance[-_LAST:].max() > _FALLEN * most):
        return None
    if chance.sum() == 0:
        chance[-1:] = 1  # all match
    likely = np.flatnonzero(chance > _FALLEN * chance.max())
    chance = chance[likely] / chance[likely].sum()
    value = top.similarity[copies[likely]]
    # Whole numbers are summed, so that no order of the list leaves its rounding.
    by_chance = mated.stays < 1
    sure = np.cumsum(np.where(by_chance, 0, mated.weight))
    perhaps = np.cumsum(np.where(by_chance, mated.weight, 0))
    errors_up_to = np.append(0, sure + mated.stays.min(initial=1) * perhaps)
    is_exact = switches.rule == "nearest_non_mated" and switches.operator == "ge"
    side = "left" if is_exact else "right"
    wrong = errors_up_to[np.searchsorted(mated.similarity, value, side)]
    if switches.rule == "nearest" and switches.operator == "gt":
        wrong = wrong + _on_mated(value, top, mated)
    return Level(float(chance @ value), float(chance @ wrong))


def _allowed(
    tie: Tie, fmr: float, switches: Protocol
) -> list[tuple[int, np.float64, np.float64]]:
    """List how many may match falsely: the number, its chance, and the ties kept."""
    kept, size, others = tie.kept, tie.size, tie.non_mated
    mean = kept * others / size
    spread = np.sqrt(mean * (1 - others / size) * (size - kept) / max(size - 1, 1))
    low = max(0, kept - (size - others), np.floor(mean - _WIDTH * spread - 1))
    high = min(others, kept, np.ceil(mean + _WIDTH * spread + 1))
    drawn = np.arange(low, high + 1)
    log = _log_choose(others, drawn) + _log_choose(size - others, kept - drawn)
    share = np.exp(log - log.max())
    share /= share.sum()
    left = np.maximum(tie.certain + drawn, 1)
    matches = np.floor(fmr * left)
    # As these divide, as for a list without ties.
    matches += (matches + 1) / left <= fmr
    matches -= matches / left > fmr
    if switches.rule != "at_most":
        below, above = fmr - matches / left, (matches + 1) / left - fmr
        matches += below >= above
        if switches.rule == "nearest_non_mated":
            matches = np.maximum(matches, 1)
    # The number rises with how many stay.
    first = np.flatnonzero(np.diff(matches, prepend=-1))
    each = np.add.reduceat(share, first)
    ties = np.add.reduceat(share * drawn, first)
    return [
        (int(number), chance, total / chance)
        for number, chance, total in zip(matches[first], each, ties, strict=True)
        if chance > 0
    ]


def _is_next(
    matches: int,
    sure_before: NDArray[np.integer],
    tied_before: NDArray[np.integer],
    is_tied: NDArray[np.bool_],
    drawn: np.float64,
    tied: float,
) -> NDArray[np.float64]:
    """Give each comparison's chance to stay after exactly so many that stay."""
    taken = matches - sure_before
    # Of the tied ones before it `taken` stay, and of the others the rest.
    possible = (
        (taken >= 0) & (taken <= tied_before) & (drawn - taken <= tied - tied_before)
    )
    possible &= taken <= drawn
    taken, before = taken[possible], tied_before[possible]
    log = _log_choose(before, taken) + _log_choose(tied - before, drawn - taken)
    chance = np.zeros(len(sure_before))
    chance[possible] = np.exp(log - _log_choose(tied, drawn))
    rest = np.maximum(tied - before, 1)
    chance[possible] *= np.where(is_tied[possible], (drawn - taken) / rest, 1)
    return chance


def _on_mated(
    value: NDArray[np.floating], top: Part, mated: Part
) -> NDArray[np.float64]:
    """Give the chance that the lowest similarity that stays above is a mated one."""
    first, last = np.searchsorted(mated.similarity, [value[-1], value[0]], "right")
    last += _NEXT
    above = int(np.searchsorted(-top.similarity, -value[-1]))
    both = np.concatenate([top.similarity[:above], mated.similarity[first:last]])
    weight = np.concatenate([top.weight[:above], mated.weight[first:last]])
    chance = np.concatenate([top.stays[:above], mated.stays[first:last]])
    order = np.argsort(both, kind="stable")
    none = np.zeros(_NEXT)
    stays = np.append((1 - (1 - chance) ** weight)[order], none)
    is_mated = np.append(order >= above, none)
    place = np.searchsorted(both[order], value, "right")
    found, none_yet = np.zeros(len(value)), np.ones(len(value))
    for ahead in range(_NEXT):
        here = place + ahead
        found += none_yet * stays[here] * is_mated[here]
        none_yet *= 1 - stays[here]
        if not none_yet.any():
            break
    return found


def _log_choose(
    count: NDArray[np.number] | float, taken: NDArray[np.number] | float
) -> NDArray[np.float64] | np.float64:
    return gammaln(count + 1.0) - gammaln(taken + 1.0) - gammaln(count - taken + 1.0)
