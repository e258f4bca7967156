"""Error versus discard: FNMR of the comparisons left after the worst are discarded."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import check_fmr, checked_mated, checked_values
from prefiqs_jax.fiqa.discard.cuts import (
    Counted,
    Cut,
    Order,
    by_quality,
    cut_at,
    discard_steps,
)
from prefiqs_jax.fiqa.discard.levels import Rate, first_length, most_similar
from prefiqs_jax.fiqa.discard.protocol import Protocol, find_protocol
from prefiqs_jax.fiqa.discard.steps import errors_at, fnmr_left, step_errors
from prefiqs_jax.fiqa.verification.verification import is_zero_fmr

# Of a larger share of ties at a cut, the user should know.
_MANY_TIES = 0.01


class EDC(NamedTuple):
    """An error-versus-discard curve: one entry per step, nothing discarded first."""

    discard_fraction: Float[np.ndarray, " steps"]
    """Fraction of the comparisons (not images) discarded, from 0."""
    fnmr: Float[np.ndarray, " steps"]
    """False non-match rate of the mated comparisons that are left."""
    threshold: Float[np.ndarray, " steps"]
    """Similarity from which, or above which, comparisons match."""
    mated_count: Num[np.ndarray, " steps"]
    """Mated comparisons left; in the mean, no whole number, where ``ties="expected"``
    keeps a part of a group of ties."""
    non_mated_count: Num[np.ndarray, " steps"]
    """Non-mated comparisons left, likewise."""
    protocol: str
    """Name of the protocol; "custom" if it has none."""
    switches: Protocol
    """What the protocol is."""
    fmr: float
    """False match rate asked for; NaN if something else set the threshold."""
    threshold_from: str
    """What set the threshold, such as "FMR 0.001", "FNMR 0.05 before any discard" or
    "threshold 0.3"."""
    tied_fraction: Float[np.ndarray, " steps"]
    """Share of the comparisons sorted together that tie in quality where a step ends
    between them; 0 where none are split."""

    @property
    def is_zero_fmr(self) -> Bool[np.ndarray, " steps"]:
        """Whether the FMR asked for is finer than the non-mated comparisons resolve.

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
        the FNMR are NaN there. If more than 1 % of the comparisons tie in quality where
        a step ends between them (see ``ties`` of :class:`Protocol`).

    Notes
    -----
    With ``ties="expected"``, the curve is the mean over all orders of comparisons of
    equal quality: exactly so at a fixed threshold where either kind is discarded by
    itself. With a pooled discard, how many mated comparisons stay enters by its mean,
    and a threshold per step by its distribution
    (:mod:`prefiqs_jax.fiqa.discard.expected_level`): off by less than one comparison,
    unless few are left. Where similarities tie as well at such a threshold (integer
    scores, repeated comparisons), the mean is over 256 orders, whose seed is fixed: its
    standard error is a sixteenth of the standard deviation between orders. No curve
    depends on the order of the list, to rounding.

    When not to trust it: the larger the discard, the fewer false non-matches it rests
    on (see ``mated_count``), an FMR that the non-mated comparisons left do not resolve
    (see ``is_zero_fmr``), and with "crfiqa" the threshold drifts.

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
    words = tie_warning(curve)
    if words:
        warnings.warn(words, RuntimeWarning, stacklevel=2)
    return curve


def tie_warning(curve: EDC) -> str | None:
    """Return a warning if more than 1 % of the comparisons tie in quality at a cut."""
    most = float(curve.tied_fraction.max())
    if most <= _MANY_TIES:
        return None
    what = "is the mean over their orders"
    if curve.switches.ties == "listed":
        what = 'depends on the order of the list; ties="expected" does not'
    share = f"{100 * most:.1f} % of the comparisons tie in quality at a cut"
    return f"{share}; the curve {what}"


def quiet_edc(
    similarity: ArrayLike,
    mated: ArrayLike,
    pair_quality: ArrayLike,
    fmr: float,
    fnmr0: float | None = None,
    threshold: float | None = None,
    protocol: str | Protocol = "crfiqa",
) -> EDC:
    """Compute what :func:`edc` does, without its warnings."""
    name, switches = find_protocol(protocol)
    source = _threshold_from(fmr, fnmr0, threshold, switches)
    by_fmr = source.startswith("FMR")
    values = checked_values("similarity", similarity)
    needs_both = by_fmr or switches.discard != "mated"
    is_mated = checked_mated(mated, len(values), needs_both=needs_both)
    quality = checked_values("pair_quality", pair_quality, len(values))

    plan = _plan(quality, is_mated, switches)
    mated_cut, other_cut = plan.cuts
    mated_values, mated_place = values[is_mated], plan.place[is_mated]
    others = other_cut.tally(plan.place[~is_mated])
    order = np.argsort(mated_values)
    ones = np.ones(len(order), np.intp)
    listed = Counted(mated_values[order], ones, mated_place[order])
    if by_fmr:
        levels, errors = _by_fmr(values, is_mated, plan, listed, others, fmr, switches)
    else:
        if threshold is None:
            threshold = float(np.quantile(mated_values, fnmr0 or 0.0))
        levels = np.full(len(plan.fraction), float(threshold))
        errors = errors_at(listed, float(threshold), mated_cut, switches)
    mated_left = mated_cut.left(mated_place)
    fnmr = fnmr_left(levels, errors, mated_left)
    if switches.steps == "all":
        fnmr[-1] = 0
    return EDC(
        plan.fraction,
        fnmr,
        levels,
        mated_left,
        other_cut.in_mean(*others),
        name,
        switches,
        fmr if by_fmr else float("nan"),
        source,
        plan.tied_fraction,
    )


def _threshold_from(
    fmr: float, fnmr0: float | None, threshold: float | None, switches: Protocol
) -> str:
    """Check what sets the threshold, and describe it."""
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
    """What each step discards."""

    fraction: NDArray[np.float64]
    place: NDArray[np.int32]
    """Place of each comparison in the order of quality: of its kind, or of all."""
    cuts: tuple[Cut, Cut]
    """Where the steps end: for the mated, and for the non-mated comparisons."""
    tied_fraction: NDArray[np.float64]
    """As in :class:`EDC`."""


def _plan(
    quality: NDArray[np.floating], is_mated: NDArray[np.bool_], switches: Protocol
) -> _Plan:
    ties = switches.ties

    def cut_and_tied(
        order: Order, gone: NDArray[np.intp]
    ) -> tuple[Cut, NDArray[np.float64]]:
        cut = cut_at(order, gone, ties)
        at_cut = cut_at(order, gone, "expected") if ties == "listed" else cut
        return cut, (at_cut.end - at_cut.start) / order.total

    if switches.discard == "pooled":
        order, place = by_quality(quality)
        fraction, gone = discard_steps(order, switches)
        cut, tied = cut_and_tied(order, gone)
        return _Plan(fraction, place, (cut, cut), tied)
    place = np.empty(len(quality), np.int32)
    order, place[is_mated] = by_quality(quality[is_mated])
    fraction, gone = discard_steps(order, switches)
    cut, tied = cut_and_tied(order, gone)
    others = len(quality) - int(order.total)
    if switches.discard == "mated":
        place[~is_mated] = np.arange(others)
        none, one = np.zeros_like(gone), np.ones_like(gone)
        return _Plan(fraction, place, (cut, Cut(none, none, one, one)), tied)
    other_gone = gone * others // int(order.total)
    if switches.steps == "grid":
        other_gone = (fraction * others).astype(np.intp)
    order, place[~is_mated] = by_quality(quality[~is_mated])
    other_cut, other_tied = cut_and_tied(order, other_gone)
    return _Plan(fraction, place, (cut, other_cut), np.maximum(tied, other_tied))


def _by_fmr(
    values: NDArray[np.floating],
    is_mated: NDArray[np.bool_],
    plan: _Plan,
    mated: Counted,
    others: tuple[NDArray[np.number], NDArray[np.number]],
    fmr: float,
    switches: Protocol,
) -> tuple[NDArray[np.float64], NDArray[np.number]]:
    """Find thresholds and false non-matches, with a longer list while one is short."""
    count = len(values) - len(mated.place)
    found, length = None, first_length(fmr, count)
    while found is None:
        top, is_all = most_similar(values, is_mated, length)
        similar = Counted(values[top], np.ones(len(top), np.intp), plan.place[top])
        rate = Rate(fmr, switches, is_all)
        found = step_errors(mated, similar, plan.cuts, others, float(count), rate)
        length *= 2
    return found
