"""Notes on the limits of a comparison's numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from prefiqs_jax.evaluation.units import Units
from prefiqs_jax.fiqa import (
    EDC,
    FEW_UNITS,
    Evidence,
    OperatingPoint,
    Replicates,
    few_told,
    tie_warning,
)
from prefiqs_jax.fiqa.bootstrap.evidence import FEWEST_ERRORS, FEWEST_UNITS
from prefiqs_jax.fiqa.bootstrap.replicates import FEW_DRAWS

_UNIT_NAMES = {
    "identity": "identity",
    "image": "image, as identities are not known: they are too narrow where several "
    "images show one person",
    "template": "template, as identities are not known: they are too narrow where "
    "several templates show one person",
    "comparison": "comparison, as identities are not known and no two share an image: "
    "they are too narrow where several comparisons are of one person",
}
_PLURALS = {
    "identity": "people",
    "image": "images",
    "template": "templates",
    "comparison": "comparisons",
}


def _kind(units: Units, unit: str) -> str:
    return "template" if unit == "image" and units.members is not None else unit


def about_intervals(
    units: Units, found: Sequence[Replicates], unit: str, asked: bool
) -> str:
    """Describe the intervals, and when not to trust them."""
    if not asked:
        return "No intervals were asked for."
    kind = _kind(units, unit)
    by = f"by {_UNIT_NAMES[kind]}"
    if kind == "identity":
        by += f" (known from: {units.benchmark.identity_source})"
    if not found:
        return (
            f"There are no intervals, as there are too few errors; they would be {by}."
        )
    first = found[0]
    how = f"percentiles of {first.replicate_count} bootstrap replicates"
    if first.method == "jackknife":
        left_out = "one"
        if first.replicate_count < first.unit_count:
            left_out = f"one of {first.replicate_count} groups"
        how = (
            f"jackknife intervals with Student's quantile "
            f"({first.replicate_count - 1} degrees of freedom), leaving out {left_out} "
            "at a time"
        )
    about = f"Intervals are 95 % {how}, {by}, of {first.unit_count} {_PLURALS[kind]}."
    few = _too_few_for_intervals(first, kind)
    return " ".join([about, *(f"{line[0].upper()}{line[1:]}." for line in few)])


def _too_few_for_intervals(found: Replicates, kind: str) -> list[str]:
    """List warnings of intervals from too few replicates or units."""
    count, plural, lines = found.replicate_count, _PLURALS[kind], []
    if found.method == "bootstrap" and count < FEW_DRAWS:
        lines = [
            f"percentiles of {count} replicates are coarse; take at least {FEW_DRAWS}"
        ]
    if found.method == "jackknife" and count < min(FEW_UNITS, found.unit_count):
        lines = [
            f"intervals rest on {count} groups of {found.unit_count} {plural}, so they "
            f"are coarse; take at least {FEW_UNITS} replicates"
        ]
    few_units = few_told(found.unit, found.unit_count, plural)
    return [*lines, few_units] if few_units else lines


def interval_notes(units: Units, found: Sequence[Replicates]) -> list[str]:
    """List warnings of intervals that cover less often than stated."""
    if not found:
        return []
    kind = _kind(units, found[0].unit)
    by = [] if kind == "identity" else [f"intervals are by {_UNIT_NAMES[kind]}"]
    return by + _too_few_for_intervals(found[0], kind)


def too_few(evidence: Evidence) -> str:
    """Describe how few errors there are, and how many are needed."""
    who = _PLURALS[evidence.unit]
    if evidence.errors == 0:
        return f"none of {evidence.mated_count:,} mated comparisons fails"
    verb = "fails" if evidence.errors == 1 else "fail"
    least = "at least " if evidence.unit == "image" else ""
    whose = f"{least}{evidence.units} {who}"
    if evidence.units < FEWEST_UNITS:  # known exactly
        whose = f"{evidence.units} {who}"
    if evidence.units == 1:
        whose = "one person" if evidence.unit == "identity" else f"one {evidence.unit}"
    return (
        f"only {evidence.errors} of {evidence.mated_count:,} mated comparisons {verb}, "
        f"of {whose}; it takes {FEWEST_ERRORS}, of {FEWEST_UNITS} {who}"
    )


def tie_notes(curves: Mapping[str, EDC]) -> list[str]:
    """List a note where many comparisons tie in quality."""
    told = [name for name, curve in curves.items() if tie_warning(curve)]
    if not told:
        return []
    tied = {name: float(curves[name].tied_fraction.max()) for name in told}
    most = max(told, key=tied.__getitem__)
    return [
        f"more than 1 % of the comparisons tie in quality at a cut of {len(told)} of "
        f"{len(curves)} qualities (most: {100 * tied[most]:.1f} %, {most}); their "
        "curves are means over the orders of ties"
    ]


def threshold_notes(curves: Mapping[float, Mapping[str, EDC]]) -> list[str]:
    """List the rates at which steps discard every non-mated comparison."""
    lines = []
    for rate, by_name in curves.items():
        first = {
            name: curve.discard_fraction[np.isnan(curve.threshold)].min()
            for name, curve in by_name.items()
            if np.isnan(curve.threshold).any()
        }
        if first:
            name = min(first, key=first.__getitem__)
            lines.append(
                f"at FMR {rate:g}, {len(first)} of {len(by_name)} qualities discard "
                f"every non-mated comparison (first: {name}, from a discard of "
                f"{first[name]:.3g} on); threshold and FNMR are unknown there"
            )
    return lines


def zero_fmr_notes(points: Sequence[OperatingPoint]) -> list[str]:
    """List the rates that the comparisons do not resolve."""
    return [
        f"FMR {point.fmr:g} is finer than {point.non_mated_count:,} non-mated "
        "comparisons can tell: it is the ZeroFMR, no false match at all"
        for point in points
        if point.is_zero_fmr
    ]
