"""Thresholds and false non-matches at the steps of a curve.

Comparisons count as often as their weights say, so that this serves a list as it is and
its bootstrap replicates alike.
"""

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import NDArray

from prefiqs_jax.fiqa.discard.cuts import Counted, Cut
from prefiqs_jax.fiqa.discard.drawn_level import Part, Tie
from prefiqs_jax.fiqa.discard.expected_level import expected_level
from prefiqs_jax.fiqa.discard.levels import Rate, find_level, wrong_count
from prefiqs_jax.fiqa.discard.protocol import Protocol


def step_errors(
    mated: Counted,
    top: Counted,
    cuts: tuple[Cut, Cut],
    others: tuple[NDArray[np.number], NDArray[np.number]],
    non_mated: float,
    rate: Rate,
) -> tuple[Float[np.ndarray, " steps"], Num[np.ndarray, " steps"]] | None:
    """Find the threshold of each step, and the weight of the false non-matches left.

    ``mated`` are all mated comparisons, by rising similarity, ``top`` the most similar
    non-mated ones, by falling similarity, and ``cuts`` say what the steps discard of
    either kind. ``others`` weigh the non-mated comparisons that each step leaves for
    sure, and those tied at its cut, ``non_mated`` all of them. NaN where none sets a
    threshold; None if ``top`` is too short.
    """
    count = len(cuts[0].start)
    if rate.switches.threshold == "fixed":
        level = float("nan")
        if non_mated:
            found = find_level(top, mated, float(non_mated), rate)
            if found is None:
                return None
            level = found.threshold
        return np.full(count, level), errors_at(mated, level, cuts[0], rate.switches)
    thresholds, errors = np.full(count, np.nan), np.zeros(count)
    mated_cut, cut = cuts
    for step in np.flatnonzero(others[0] + others[1]).tolist():
        certain, tied = float(others[0][step]), float(others[1][step])
        kept, size = float(cut.kept[step]), float(cut.size[step])
        mated_size = mated_cut.size[step]
        rows, share = cut.weighed(top.place, step)
        mated_rows, mated_share = mated_cut.weighed(mated.place, step)
        near, listed = top.take(rows), mated.take(mated_rows)
        if rate.switches.ties == "expected" and tied and size > 1:
            found = expected_level(
                Part(near.similarity, near.weight, share / size),
                Part(listed.similarity, listed.weight, mated_share / mated_size),
                Tie(kept, size, tied, certain),
                rate,
                seed=step,
            )
        else:
            found = find_level(
                near._replace(weight=near.weight * share),
                listed._replace(weight=listed.weight * mated_share),
                float(int(certain * size + tied * kept)),
                rate,
            )
            if found is not None:
                found = found._replace(errors=found.errors / mated_size)
        if found is None:
            return None
        thresholds[step], errors[step] = found
    return thresholds, errors


def errors_at(
    mated: Counted, threshold: float, cut: Cut, switches: Protocol
) -> Num[np.ndarray, " steps"]:
    """Weigh the false non-matches that each step leaves, at one threshold.

    In the mean over the orders of ties this is exact: the number of mated comparisons
    that stay is known, and of the tied ones each stays with the same probability. (Of a
    pooled discard, that number varies as well, and the FNMR is the ratio of the means.)
    """
    wrong = wrong_count(mated, threshold, switches)
    return cut.left(mated.place[:wrong], mated.weight[:wrong])


def fnmr_left(
    thresholds: NDArray[np.float64],
    errors: NDArray[np.number],
    mated_left: NDArray[np.number],
) -> Float[np.ndarray, " steps"]:
    """Divide errors by the mated comparisons left; NaN where either is not known."""
    fnmr = np.full(len(errors), np.nan)
    known = (mated_left > 0) & ~np.isnan(thresholds)
    np.divide(errors, mated_left, out=fnmr, where=known)
    return fnmr
