"""Error versus discard: FNMR of the comparisons left after the worst are discarded."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import check_fmr, checked_mated, checked_values
from prefiqs_jax.fiqa.levels import MostSimilar, find_level, first_length, most_similar
from prefiqs_jax.fiqa.protocol import Protocol, find_protocol
from prefiqs_jax.fiqa.verification import is_zero_fmr

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
    """Non-mated comparisons left."""
    protocol: str
    """Name of the protocol; "custom" if it has none."""
    switches: Protocol
    """What the protocol is."""
    fmr: float
    """False match rate asked for; NaN if something else set the threshold."""
    threshold_from: str
    """What set the threshold, such as "FMR 0.001", "FNMR 0.05 before any discard" or
    "threshold 0.3"."""

    @property
    def is_zero_fmr(self) -> Bool[np.ndarray, " steps"]:
        """Whether the FMR asked for is finer than the non-mated comparisons can tell.

        The threshold then allows no false match at all (ZeroFMR). With a fixed
        threshold, all non-mated comparisons count at each step. Nowhere if the
        threshold was not set by an FMR.
        """
        counts = self.non_mated_count
        if self.switches.threshold == "fixed":
            counts = np.full_like(counts, counts[0])
        if np.isnan(self.fmr):
            return np.zeros(len(counts), np.bool_)
        return np.array([is_zero_fmr(self.fmr, int(count)) for count in counts])


def edc(
    similarity: ArrayLike,
    mated: ArrayLike,
    pair_quality: ArrayLike,
    *,
    fmr: float = 1e-3,
    fnmr0: float | None = None,
    threshold: float | None = None,
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
    fnmr0
        FNMR before any discard that sets the threshold instead, in (0, 1): it is the
        ``fnmr0`` quantile of the mated similarities, as fiqat has it. Needs a fixed
        threshold.
    threshold
        The threshold itself, instead. Needs a fixed threshold.
    protocol
        "crfiqa", "fiqat", "proportional", or a :class:`Protocol` of your own.

    Returns
    -------
    EDC
        The curve. FNMR is NaN where no mated comparison is left, except at the last
        point (1, 0) of ``steps="all"``.

    Raises
    ------
    InputError
        If shapes differ, a similarity or quality is not finite, one kind of comparison
        is missing (the non-mated ones may be, where nothing depends on them), fmr or
        fnmr0 is outside (0, 1), the protocol is unknown, or a protocol that finds its
        threshold at each step is given one.

    Warns
    -----
    RuntimeWarning
        If a threshold per step has no non-mated comparison left to be found on; it and
        the FNMR are NaN there.

    Notes
    -----
    Sorting by quality is all that costs more than linear time. When not to trust it:
    the larger the discard, the fewer false non-matches it rests on (see
    ``mated_count``), an FMR that the non-mated comparisons left do not resolve (see
    ``is_zero_fmr``), and with "crfiqa" the threshold drifts, so the FMR at the first
    threshold drifts as well.

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
    curve = quiet_edc(similarity, mated, pair_quality, fmr, fnmr0, threshold, protocol)
    unknown = int(np.isnan(curve.threshold).sum())
    if unknown:
        message = (
            f"no non-mated comparison is left at {unknown} of {len(curve.threshold)} "
            "steps: threshold and FNMR are NaN there"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return curve


def quiet_edc(
    similarity: ArrayLike,
    mated: ArrayLike,
    pair_quality: ArrayLike,
    fmr: float,
    fnmr0: float | None,
    threshold: float | None,
    protocol: str | Protocol,
) -> EDC:
    """Compute what :func:`edc` does, without its warning."""
    name, switches = find_protocol(protocol)
    source = _threshold_from(fmr, fnmr0, threshold, switches)
    by_fmr = source.startswith("FMR")
    values = checked_values("similarity", similarity)
    needs_both = by_fmr or switches.discard != "mated"
    is_mated = checked_mated(mated, len(values), needs_both=needs_both)
    quality = checked_values("pair_quality", pair_quality, len(values))

    plan = _plan(quality, is_mated, switches)
    mated_values = values[is_mated]
    if switches.threshold == "fixed":
        if by_fmr:
            level = _fixed_by_fmr(values, is_mated, mated_values, fmr, switches)
        elif fnmr0 is not None:
            level = float(np.quantile(mated_values, fnmr0))
        else:
            level = float(threshold)  # pyright: ignore[reportArgumentType]
        levels = np.full(len(plan.fraction), level)
        errors_left = _errors_left(mated_values, plan, level, switches)
    else:
        levels, errors_left = _per_step(values, is_mated, plan, fmr, switches)
    fnmr = np.full(len(plan.fraction), np.nan)
    np.divide(errors_left, plan.mated_left, out=fnmr, where=plan.mated_left > 0)
    fnmr[np.isnan(levels)] = np.nan
    if switches.steps == "all":
        fnmr[-1] = 0
    return EDC(
        plan.fraction,
        fnmr,
        levels,
        plan.mated_left,
        plan.non_mated_left,
        name,
        switches,
        fmr if by_fmr else float("nan"),
        source,
    )


def _threshold_from(
    fmr: float, fnmr0: float | None, threshold: float | None, switches: Protocol
) -> str:
    """Check what sets the threshold, and say it in words."""
    if fnmr0 is None and threshold is None:
        check_fmr(fmr)
        return f"FMR {fmr:g}"
    if switches.threshold != "fixed" or (fnmr0 is not None and threshold is not None):
        message = (
            "give either fnmr0 or threshold, and a protocol whose threshold is fixed, "
            'such as "fiqat"'
        )
        raise InputError(message)
    if fnmr0 is not None:
        if not 0 < fnmr0 < 1:
            message = f"fnmr0={fnmr0} is outside (0, 1): it is a fraction, such as 0.05"
            raise InputError(message)
        return f"FNMR {fnmr0:g} before any discard"
    if not np.isfinite(float(threshold)):  # pyright: ignore[reportArgumentType]
        message = f"threshold={threshold} must be finite"
        raise InputError(message)
    return f"threshold {threshold:g}"


class _Plan(NamedTuple):
    """What goes at each step: of either kind, those whose place is below the cut."""

    fraction: Float[np.ndarray, " steps"]
    mated_place: Int[np.ndarray, " mated"]
    mated_cut: Int[np.ndarray, " steps"]
    mated_left: Int[np.ndarray, " steps"]
    place: Int[np.ndarray, " comparisons"]
    """Of all comparisons; that of a non-mated one is among its like, or among all."""
    non_mated_cut: Int[np.ndarray, " steps"]
    non_mated_left: Int[np.ndarray, " steps"]


def _plan(
    quality: NDArray[np.floating], is_mated: NDArray[np.bool_], switches: Protocol
) -> _Plan:
    """Give the discard fraction of each step, and what of either kind it takes."""
    mated_count = int(is_mated.sum())
    others = len(is_mated) - mated_count
    if switches.discard == "pooled":
        sorted_quality, place = _places(quality, switches)
        fraction, cut = _cuts(len(quality), sorted_quality, switches)
        mated_place = place[is_mated]
        gone = np.searchsorted(np.sort(mated_place), cut)
        left = others - (cut - gone)
        return _Plan(fraction, mated_place, cut, mated_count - gone, place, cut, left)
    sorted_quality, mated_place = _places(quality[is_mated], switches)
    fraction, cut = _cuts(mated_count, sorted_quality, switches)
    place = np.zeros(len(quality), np.int32)
    other_cut = np.zeros_like(cut)
    if switches.discard == "proportional":
        sorted_quality, place[~is_mated] = _places(quality[~is_mated], switches)
        if switches.steps == "grid":
            other_cut = (fraction * others).astype(np.intp)
        else:
            other_cut = cut * others // mated_count
        other_cut = _whole(other_cut, sorted_quality, switches)
    left = others - other_cut
    return _Plan(fraction, mated_place, cut, mated_count - cut, place, other_cut, left)


def _places(
    quality: NDArray[np.floating], switches: Protocol
) -> tuple[NDArray[np.floating], NDArray[np.int32]]:
    """Sort by quality, and say which place of that order each comparison has."""
    order = np.argsort(quality, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    # One by one on the grid, nobody asks which qualities are equal.
    one_by_one = switches.ties == "stable"
    return (quality[:0] if one_by_one else quality[order]), place


def _cuts(
    count: int, sorted_quality: NDArray[np.floating], switches: Protocol
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    if switches.steps == "grid":
        cut = (GRID * count).astype(np.intp)
        return GRID, _whole(cut, sorted_quality, switches)
    if switches.ties == "stable":
        steps = np.arange(count + 1)
    else:
        changes = np.flatnonzero(sorted_quality[1:] != sorted_quality[:-1]) + 1
        steps = np.concatenate([[0], changes, [count]])
    return steps / count, steps


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


def _fixed_by_fmr(
    values: NDArray[np.floating],
    is_mated: NDArray[np.bool_],
    mated_values: NDArray[np.floating],
    fmr: float,
    switches: Protocol,
) -> float:
    """Find the threshold once, on all comparisons."""
    others = len(values) - len(mated_values)
    mated_sorted = np.sort(mated_values)
    found = None
    length = first_length(fmr, others)
    while found is None:
        top = most_similar(values, is_mated, length)
        found = find_level(
            top.similarity,
            np.ones(len(top.row), np.intp),
            others,
            mated_sorted,
            np.ones(len(mated_sorted), np.intp),
            fmr=fmr,
            switches=switches,
            is_all=top.is_all,
        )
        length *= 2
    return found.threshold


def _errors_left(
    mated_values: NDArray[np.floating], plan: _Plan, level: float, switches: Protocol
) -> NDArray[np.intp]:
    """Count the false non-matches that each step leaves, at one threshold."""
    # As a float64: rounded to the similarities' precision, it would be another one.
    threshold = np.float64(level)
    if switches.operator == "ge":
        is_error = mated_values < threshold
    else:
        is_error = mated_values <= threshold
    places = np.sort(plan.mated_place[is_error])
    return len(places) - np.searchsorted(places, plan.mated_cut)


def _per_step(
    values: NDArray[np.floating],
    is_mated: NDArray[np.bool_],
    plan: _Plan,
    fmr: float,
    switches: Protocol,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the threshold on what each step keeps, and the false non-matches left."""
    others = int(plan.non_mated_left[0])
    mated_values = values[is_mated]
    order = np.argsort(mated_values)
    mated_sorted, mated_place = mated_values[order], plan.mated_place[order]
    top = most_similar(values, is_mated, first_length(fmr, others))
    threshold = np.full(len(plan.fraction), np.nan)
    errors_left = np.zeros(len(plan.fraction))
    step = 0
    while step < len(threshold):
        if plan.non_mated_left[step] == 0:
            step += 1
            continue
        mated_kept = mated_sorted[mated_place >= plan.mated_cut[step]]
        top_kept = top.similarity[plan.place[top.row] >= plan.non_mated_cut[step]]
        found = find_level(
            top_kept,
            np.ones(len(top_kept), np.intp),
            int(plan.non_mated_left[step]),
            mated_kept,
            np.ones(len(mated_kept), np.intp),
            fmr=fmr,
            switches=switches,
            is_all=top.is_all,
        )
        if found is None:
            top = _longer(top, values, is_mated)
            continue
        threshold[step], errors_left[step] = found
        step += 1
    return threshold, errors_left


def _longer(
    top: MostSimilar, values: NDArray[np.floating], is_mated: NDArray[np.bool_]
) -> MostSimilar:
    return most_similar(values, is_mated, 2 * len(top.row))
