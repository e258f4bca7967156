"""Error versus discard: FNMR of the comparisons left after the worst are discarded."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.fiqa.checks import check_fmr, checked_mated, checked_values
from prefiqs_jax.fiqa.protocol import Protocol, find_protocol
from prefiqs_jax.fiqa.verification import allowed_count, next_above

GRID = np.arange(0, 0.98, 0.05)
"""Discard fractions of ``steps="grid"``, as published, rounding included: 0.15 is
0.15000000000000002."""
GRID.flags.writeable = False


class EDC(NamedTuple):
    """An error-versus-discard curve: one entry per step, nothing discarded first."""

    discard_fraction: Float[np.ndarray, " steps"]
    """Fraction of the comparisons (not images) discarded, from 0."""
    fnmr: Float[np.ndarray, " steps"]
    """False non-match rate of the mated comparisons that are left."""
    threshold: Float[np.ndarray, " steps"]
    """Similarity from which, or above which, comparisons match."""
    mated_count: Int[np.ndarray, " steps"]
    """Mated comparisons left."""
    non_mated_count: Int[np.ndarray, " steps"]
    """Non-mated comparisons left. The FMR is not resolved where it is below one over
    this: the threshold then lies above them all (ZeroFMR)."""
    protocol: str
    """Name of the protocol; "custom" if it has none."""
    switches: Protocol
    """What the protocol is."""
    fmr: float
    """False match rate asked for."""


def edc(
    similarity: ArrayLike,
    mated: ArrayLike,
    pair_quality: ArrayLike,
    *,
    fmr: float = 1e-3,
    protocol: str | Protocol = "crfiqa",
) -> EDC:
    """Discard comparisons, lowest quality first, and follow the FNMR of the rest.

    FNMR(step) = false non-matches left / mated comparisons left

    Parameters
    ----------
    similarity
        Shape (comparisons,), higher = more alike. ``crfiqa`` as published has
        :func:`angular_similarity` here; any increasing function gives the same curve.
    mated
        Shape (comparisons,), some of either kind.
    pair_quality
        Shape (comparisons,), higher = better; see :func:`pair_quality`.
    fmr
        False match rate that sets the threshold, in (0, 1).
    protocol
        "crfiqa", "fiqat", or a :class:`Protocol` of your own.

    Returns
    -------
    EDC
        The curve. FNMR is NaN where no mated comparison is left, except at the last
        point (1, 0) of ``steps="all"``.

    Raises
    ------
    InputError
        If shapes differ, a similarity or quality is not finite, one kind of comparison
        is missing, fmr is outside (0, 1), or the protocol is unknown.

    Warns
    -----
    RuntimeWarning
        If a threshold per step has no non-mated comparison left to be found on; it and
        the FNMR are NaN there.

    Notes
    -----
    Sorting is all that costs more than linear time. When not to trust it: the larger
    the discard, the fewer false non-matches it rests on (see ``mated_count``), and with
    "crfiqa" the threshold drifts, so the FMR at the first threshold drifts as well.

    References
    ----------
    Grother & Tabassi (2007). Performance of biometric quality measures. IEEE TPAMI 29:
    errors against discard. Boutros et al. (2023). CR-FIQA. CVPR, arXiv 2112.06592; its
    evaluation code. Schlett, Rathgeb, Tapia & Busch (2023). Considerations on the
    evaluation of biometric quality assessment algorithms. arXiv 2303.13294.

    Examples
    --------
    >>> curve = edc([0.2, 0.9, 0.8, 0.5, 0.1], [1, 1, 1, 0, 0], [1, 2, 2, 3, 3],
    ...     protocol="fiqat")
    >>> curve.discard_fraction.round(2), curve.fnmr.round(2)
    (array([0.  , 0.33, 1.  ]), array([0.33, 0.  , 0.  ]))
    """
    name, switches = find_protocol(protocol)
    check_fmr(fmr)
    values = checked_values("similarity", similarity).astype(np.float64)
    is_mated = checked_mated(mated, len(values))
    quality = checked_values("pair_quality", pair_quality, len(values))

    order = np.argsort(quality, kind="stable")
    ranked = _Ranked(quality[order], is_mated[order])
    mated_values = values[order[ranked.is_mated]]
    non_mated_values = values[order[~ranked.is_mated]]
    fraction, mated_gone, non_mated_gone = _gone(ranked, switches)

    if switches.threshold == "fixed":
        level = _threshold(
            np.sort(mated_values), np.sort(non_mated_values), fmr, switches
        )
        threshold = np.full(len(fraction), level)
        errors = _errors(mated_values, level, switches)
        errors_gone = np.concatenate([[0], np.cumsum(errors)])
        errors_left = errors_gone[-1] - errors_gone[mated_gone]
    else:
        threshold, errors_left = _per_step(
            (mated_values, mated_gone),
            (non_mated_values, non_mated_gone),
            fmr,
            switches,
        )
    mated_left = len(mated_values) - mated_gone
    fnmr = np.full(len(fraction), np.nan)
    np.divide(errors_left, mated_left, out=fnmr, where=mated_left > 0)
    fnmr[np.isnan(threshold)] = np.nan
    if switches.steps == "all":
        fnmr[-1] = 0
    return EDC(
        fraction,
        fnmr,
        threshold,
        mated_left,
        len(non_mated_values) - non_mated_gone,
        name,
        switches,
        fmr,
    )


class _Ranked(NamedTuple):
    """All comparisons, lowest quality first."""

    quality: Float[np.ndarray, " comparisons"]
    is_mated: Bool[np.ndarray, " comparisons"]


def _gone(
    ranked: _Ranked, switches: Protocol
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Give the discard fraction of each step, and how many of either kind it takes."""
    mated_quality = ranked.quality[ranked.is_mated]
    non_mated_quality = ranked.quality[~ranked.is_mated]
    pooled = switches.discard == "pooled"
    sorted_quality = ranked.quality if pooled else mated_quality
    count = len(sorted_quality)
    if switches.steps == "grid":
        fraction = GRID
        gone = _whole((fraction * count).astype(np.intp), sorted_quality, switches)
    else:
        gone = np.append(_all_steps(sorted_quality, switches), count)
        fraction = gone / count

    if pooled:
        mated_before = np.concatenate([[0], np.cumsum(ranked.is_mated)])
        return fraction, mated_before[gone], gone - mated_before[gone]
    if switches.discard == "mated":
        return fraction, gone, np.zeros_like(gone)
    others = len(non_mated_quality)
    if switches.steps == "grid":
        others_gone = (fraction * others).astype(np.intp)
    else:
        others_gone = gone * others // count
    return fraction, gone, _whole(others_gone, non_mated_quality, switches)


def _all_steps(
    sorted_quality: NDArray[np.floating], switches: Protocol
) -> NDArray[np.intp]:
    if switches.ties == "stable":
        return np.arange(len(sorted_quality))
    changes = np.flatnonzero(sorted_quality[1:] != sorted_quality[:-1]) + 1
    return np.concatenate([[0], changes])


def _whole(
    gone: NDArray[np.intp], sorted_quality: NDArray[np.floating], switches: Protocol
) -> NDArray[np.intp]:
    """Keep all of a group of ties that a step would split."""
    if switches.ties == "stable":
        return gone
    inside = gone < len(sorted_quality)
    whole = gone.copy()
    whole[inside] = np.searchsorted(sorted_quality, sorted_quality[gone[inside]])
    return whole


def _per_step(
    mated: tuple[NDArray[np.float64], NDArray[np.intp]],
    non_mated: tuple[NDArray[np.float64], NDArray[np.intp]],
    fmr: float,
    switches: Protocol,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Find the threshold on what each step keeps, and the false non-matches left.

    Either kind comes as its similarities, lowest quality first, and how many of these
    each step takes. They are sorted once; a step picks out of the sorted list.
    """
    (mated_values, mated_gone), (non_mated_values, non_mated_gone) = mated, non_mated
    mated_rank, non_mated_rank = np.argsort(mated_values), np.argsort(non_mated_values)
    mated_sorted = mated_values[mated_rank]
    non_mated_sorted = non_mated_values[non_mated_rank]
    threshold = np.full(len(mated_gone), np.nan)
    errors_left = np.zeros(len(mated_gone), np.intp)
    for step in range(len(mated_gone)):
        mated_kept = mated_sorted[mated_rank >= mated_gone[step]]
        non_mated_kept = non_mated_sorted[non_mated_rank >= non_mated_gone[step]]
        if len(non_mated_kept) == 0:
            continue
        threshold[step] = _threshold(mated_kept, non_mated_kept, fmr, switches)
        errors_left[step] = _errors(mated_kept, threshold[step], switches).sum()
    if np.isnan(threshold).any():
        message = (
            f"no non-mated comparison is left at {np.isnan(threshold).sum()} of "
            f"{len(threshold)} steps: threshold and FNMR are NaN there"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return threshold, errors_left


def _errors(
    values: NDArray[np.float64], threshold: float, switches: Protocol
) -> NDArray[np.bool_]:
    return values < threshold if switches.operator == "ge" else values <= threshold


def _threshold(
    mated_sorted: NDArray[np.float64],
    non_mated_sorted: NDArray[np.float64],
    fmr: float,
    switches: Protocol,
) -> float:
    """Find the threshold on comparisons that are sorted by similarity, ascending."""
    count = len(non_mated_sorted)
    # The most similar one that must not match, for the FMR to be at most as asked for.
    edge = non_mated_sorted[count - 1 - allowed_count(fmr, count)]
    if switches.rule == "at_most":
        return next_above(edge)
    # The FMR falls as the threshold climbs, so only two levels can be the nearest: with
    # all at the edge (above the one asked for), and with none of them (at most it).
    start = int(np.searchsorted(non_mated_sorted, edge))
    end = int(np.searchsorted(non_mated_sorted, edge, side="right"))
    beyond = int(np.searchsorted(mated_sorted, edge, side="right"))
    off_above = abs((count - start) / count - fmr)
    off_below = abs((count - end) / count - fmr)
    occurs = end < count or beyond < len(mated_sorted)
    # Of the similarities with the chosen level, the lowest; it may be a mated one.
    if occurs and off_below < off_above:
        return _lowest(mated_sorted, beyond, non_mated_sorted, end)
    floor = non_mated_sorted[start - 1] if start else -np.inf
    first = int(np.searchsorted(mated_sorted, floor, side="right"))
    return _lowest(mated_sorted, first, non_mated_sorted, start)


def _lowest(
    mated_sorted: NDArray[np.float64],
    mated_place: int,
    non_mated_sorted: NDArray[np.float64],
    non_mated_place: int,
) -> float:
    """Take the lower of two entries, one of which may lie past its end."""
    entries = (
        *mated_sorted[mated_place : mated_place + 1],
        *non_mated_sorted[non_mated_place : non_mated_place + 1],
    )
    return float(min(entries))
