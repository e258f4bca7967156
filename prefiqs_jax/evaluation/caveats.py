"""What the user should know of a comparison's numbers, in words."""

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


def _unit(units: Units, kind: str) -> str:
    if kind == "image" and units.members is not None:
        return "template"
    return kind


def about_intervals(
    units: Units, found: Sequence[Replicates], unit: str, *, asked: bool
) -> str:
    """Say what the intervals are, and when not to trust them."""
    if not asked:
        return "No intervals were asked for."
    kind = _unit(units, unit)
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
    few = _few_replicates(first, kind)
    if told := few_told(first.unit, first.unit_count, _PLURALS[kind]):
        few.append(told)
    return " ".join([about, *(f"{line[0].upper()}{line[1:]}." for line in few)])


def _few_replicates(found: Replicates, kind: str) -> list[str]:
    """Say so where intervals rest on fewer replicates than they need."""
    if found.method == "bootstrap":
        if found.replicate_count >= FEW_DRAWS:
            return []
        return [
            f"percentiles of {found.replicate_count} replicates are coarse; take at "
            f"least {FEW_DRAWS}"
        ]
    if found.replicate_count >= min(FEW_UNITS, found.unit_count):
        return []
    return [
        f"intervals rest on {found.replicate_count} groups of {found.unit_count} "
        f"{_PLURALS[kind]}, so they are coarse; take at least {FEW_UNITS} replicates"
    ]


def intervals_fail(units: Units, found: Sequence[Replicates]) -> list[str]:
    """Warn of intervals that contain the truth less often than they say."""
    if not found:
        return []
    name, kind = units.benchmark.name, _unit(units, found[0].unit)
    lines = []
    if kind != "identity":
        lines.append(f"{name}: intervals are by {_UNIT_NAMES[kind]}")
    lines += [f"{name}: {line}" for line in _few_replicates(found[0], kind)]
    if told := few_told(found[0].unit, found[0].unit_count, _PLURALS[kind]):
        lines.append(f"{name}: {told}")
    return lines


def too_few(evidence: Evidence) -> str:
    """Say how few errors there are, and how many it takes."""
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


def ties_told(benchmark: str, curves: Mapping[str, EDC]) -> list[str]:
    """Say so where many comparisons tie in quality."""
    tied = {name: float(curve.tied_fraction.max()) for name, curve in curves.items()}
    told = [name for name, curve in curves.items() if tie_warning(curve)]
    if not told:
        return []
    most = max(told, key=tied.__getitem__)
    return [
        f"{benchmark}: more than 1 % of the comparisons tie in quality at a cut of "
        f"{len(told)} of {len(curves)} qualities (most: {100 * tied[most]:.1f} %, "
        f"{most}); their curves are means over the orders of ties"
    ]


def steps_without_threshold(
    benchmark: str, curves: Mapping[float, Mapping[str, EDC]]
) -> list[str]:
    """Say at which rates steps discard every non-mated comparison."""
    lines = []
    for rate, by_name in curves.items():
        unknown = {
            name: curve.discard_fraction[np.isnan(curve.threshold)]
            for name, curve in by_name.items()
        }
        unknown = {name: steps for name, steps in unknown.items() if len(steps)}
        if unknown:
            name = min(unknown, key=lambda name: unknown[name].min())
            lines.append(
                f"{benchmark}: at FMR {rate:g}, {len(unknown)} of {len(by_name)} "
                f"qualities discard every non-mated comparison (first: {name}, from a "
                f"discard of {unknown[name].min():.3g} on); threshold and FNMR are "
                "unknown there"
            )
    return lines


def zero_fmr_told(benchmark: str, points: Sequence[OperatingPoint]) -> list[str]:
    """Say so of rates that the comparisons do not resolve."""
    return [
        f"{benchmark}: FMR {point.fmr:g} is finer than {point.non_mated_count:,} "
        "non-mated comparisons can tell: it is the ZeroFMR, no false match at all"
        for point in points
        if point.is_zero_fmr
    ]
