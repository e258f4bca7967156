"""The curve of one bootstrap replicate: comparisons that count several times or never.

Each function equals :func:`edc` on the list in which every comparison is repeated as
often as its weight says.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from prefiqs_jax.fiqa.discard.cuts import GRID, Counted, Cut
from prefiqs_jax.fiqa.discard.expected_level import StepCuts, level_at_step
from prefiqs_jax.fiqa.discard.levels import find_level
from prefiqs_jax.fiqa.discard.protocol import Protocol


class Listed(NamedTuple):
    """Some comparisons, in some order."""

    similarity: Float[np.ndarray, " comparisons"]
    one: Int[np.ndarray, " comparisons"]
    other: Int[np.ndarray, " comparisons"]
    """The units whose weights multiply to that of the comparison."""


class Rate(NamedTuple):
    """The false match rate asked for, and what the list of most similar ones is."""

    fmr: float
    is_all: bool


def counted(
    listed: Listed, place: NDArray[np.integer], weight: NDArray[np.float32]
) -> Counted:
    """Weigh comparisons by how often their units were drawn; those with 0 go."""
    each = weight[listed.one] * weight[listed.other]
    rows = np.flatnonzero(each)
    return Counted(listed.similarity[rows], each[rows].astype(np.float64), place[rows])


def fixed_threshold(
    mated: Counted, top: Counted, non_mated: float, rate: Rate, switches: Protocol
) -> float | None:
    """Find the threshold on all comparisons.

    Parameters
    ----------
    mated
        All mated comparisons, by rising similarity.
    top
        The most similar non-mated ones, by falling similarity.
    non_mated
        Weight of all non-mated ones.
    rate
        The rate, and whether ``top`` is all there is.
    switches
        Of the protocol.

    Returns
    -------
    float or None
        NaN if there is no non-mated comparison; None if ``top`` is too short.
    """
    if non_mated == 0:
        return float("nan")
    found = find_level(
        top.similarity,
        top.weight,
        int(non_mated),
        mated.similarity,
        mated.weight,
        fmr=rate.fmr,
        switches=switches,
        is_all=rate.is_all,
    )
    return None if found is None else found.threshold


def mated_curve(
    similarity: NDArray[np.floating],
    weight: NDArray[np.float64],
    group_start: NDArray[np.integer],
    threshold: float,
    switches: Protocol,
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Discard mated comparisons at a fixed threshold.

    Parameters
    ----------
    similarity, weight
        Shape (mated,): all mated comparisons, lowest quality first.
    group_start
        Where each group of equal quality starts.
    threshold
        NaN if there is none.
    switches
        Of a protocol with a fixed threshold that discards either kind by itself; if its
        steps are all, with groups of ties.

    Returns
    -------
    tuple of ndarray
        Discard fractions, and FNMR; NaN if nothing is mated or there is no threshold.
    """
    level = np.float64(threshold)
    wrong = similarity < level if switches.operator == "ge" else similarity <= level
    gone = np.concatenate([[0.0], np.cumsum(weight)])
    errors = np.concatenate([[0.0], np.cumsum(np.where(wrong, weight, 0.0))])
    total, all_errors = gone[-1], errors[-1]
    if total == 0 or np.isnan(threshold):
        x = GRID if switches.steps == "grid" else np.array([0.0, 1.0])
        return x, np.full(len(x), np.nan)
    if switches.steps == "all":
        gone, errors = gone[group_start], errors[group_start]
        # Groups that were not drawn are no steps.
        is_step = np.append(gone[1:] > gone[:-1], gone[-1] < total)
        gone, errors = gone[is_step], errors[is_step]
        fnmr = (all_errors - errors) / (total - gone)
        return np.append(gone / total, 1.0), np.append(fnmr, 0.0)
    target = np.floor(GRID * total)
    if switches.ties == "group":
        before = gone[group_start]
        group = np.searchsorted(before, target, side="right") - 1
        target, errors_gone = before[group], errors[group_start][group]
    elif switches.ties == "expected":
        # Ties go one by one, with the share of errors that their group has.
        bounds = np.append(group_start, len(weight))
        before, errors_before = gone[bounds], errors[bounds]
        group = np.searchsorted(before, target, side="right") - 1
        share = (errors_before[group + 1] - errors_before[group]) / (
            before[group + 1] - before[group]
        )
        errors_gone = errors_before[group] + (target - before[group]) * share
    else:
        row = np.searchsorted(gone, target, side="right") - 1
        errors_gone = errors[row] + (target - gone[row]) * wrong[row]
    return GRID, (all_errors - errors_gone) / (total - target)


def pooled_curve(
    mated: Counted,
    top: Counted,
    cut: Cut,
    left: Float[np.ndarray, " steps"],
    threshold: float | None,
    rate: Rate,
    switches: Protocol,
) -> Float[np.ndarray, " steps"] | None:
    """Discard comparisons of either kind together, at the steps of the grid.

    Parameters
    ----------
    mated
        All mated comparisons, by rising similarity.
    top
        The most similar non-mated ones, by falling similarity.
    cut
        Where the discard of each step ends.
    left
        Weight of all comparisons that each step leaves.
    threshold
        The fixed one (NaN if there is none), or None: found at each step.
    rate
        The rate, and whether ``top`` is all there is.
    switches
        Of the protocol.

    Returns
    -------
    ndarray or None
        FNMR, NaN where it is not defined; None if ``top`` is too short.
    """
    fnmr = np.full(len(left), np.nan)
    by_place = np.argsort(mated.place, kind="stable")
    summed = np.append(0.0, np.cumsum(mated.weight[by_place]))
    start, end = np.searchsorted(mated.place[by_place], [cut.start, cut.end])
    tied, certain = summed[end] - summed[start], summed[-1] - summed[end]
    mated_left = certain + tied * cut.kept / cut.size
    # Where none are tied, the size is 1.
    is_split = cut.end > cut.start
    others_tied = np.where(is_split, cut.size - tied, 0)
    others_certain = left - np.where(is_split, cut.kept, 0) - certain
    for step in np.flatnonzero(mated_left):
        if threshold is None:
            others = (float(others_certain[step]), float(others_tied[step]))
            if sum(others) == 0:
                continue
            found = level_at_step(
                top,
                mated,
                StepCuts(cut, cut, int(step)),
                others,
                fmr=rate.fmr,
                switches=switches,
                is_all=rate.is_all,
            )
            if found is None:
                return None
            fnmr[step] = found.errors / mated_left[step]
        elif not np.isnan(threshold):
            side = "left" if switches.operator == "ge" else "right"
            wrong = int(np.searchsorted(mated.similarity, threshold, side))
            rows, weight = cut.weighed(mated.place[:wrong], int(step))
            errors = (mated.weight[rows] * weight).sum() / cut.size[step]
            fnmr[step] = errors / mated_left[step]
    return fnmr
