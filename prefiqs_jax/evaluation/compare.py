"""Compare qualities by the recognition errors of one benchmark and verifier."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.caveats import (
    about_intervals,
    interval_notes,
    threshold_notes,
    tie_notes,
    too_few,
    zero_fmr_notes,
)
from prefiqs_jax.evaluation.options import EvaluationOptions
from prefiqs_jax.evaluation.qualities import Quality
from prefiqs_jax.evaluation.units import Units
from prefiqs_jax.fiqa import (
    DET,
    EDC,
    EDCBand,
    Evidence,
    Pairs,
    Replicates,
    det,
    difference_table,
    edc_bands,
    edc_replicates,
    equal_error_rate,
    error_evidence,
    operating_point,
    pair_quality,
    pauc,
)
from prefiqs_jax.fiqa.discard.edc import quiet_edc
from prefiqs_jax.scorefiles import check_direction

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Results of one benchmark, verifier and scorer."""

    benchmark: str
    kind: str
    """One of :data:`prefiqs_jax.benchmarks.KINDS`."""
    verifier: str
    scorer: str
    curves: Mapping[float, Mapping[str, EDC]]
    """False match rate to curves by quality."""
    bands: Mapping[float, Mapping[str, EDCBand]]
    """Those with intervals, if any."""
    points: "pd.DataFrame"
    """Steps of the curves; ``tells``: whether there are errors enough to compare."""
    areas: "pd.DataFrame"
    """Areas and differences; ``tells`` likewise."""
    verification: "pd.DataFrame"
    """Errors before any discard; ``tells`` likewise."""
    det: DET
    silent: Mapping[float, str]
    """False match rates at which errors are too few, and how few they are, in words."""
    about_bands: str
    """What the intervals are, in words."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""


def compare(
    units: Units,
    pairs: Pairs,
    qualities: Sequence[Quality],
    verifier: str,
    scorer: str,
    options: EvaluationOptions,
) -> Comparison:
    """Compute curves, areas, differences and intervals.

    Parameters
    ----------
    units, pairs
        What is compared, and how similar the verifier finds it.
    qualities
        Qualities of the usable images.
    verifier, scorer, options
        Names of the networks, and how to compare.

    Raises
    ------
    InputError
        If there is no quality, or none with the name of the reference.
    """
    import pandas as pd

    quality = {
        each.name: units.quality(each.values, options.template_quality)
        for each in qualities
    }
    reference = options.reference or next(iter(quality), None)
    if reference is None or reference not in quality:
        message = (
            f"the reference {reference} is none of the qualities: {', '.join(quality)}"
        )
        raise InputError(message)
    who = {
        "benchmark": units.benchmark.name,
        "kind": units.benchmark.kind,
        "verifier": verifier,
        "scorer": scorer,
    }
    # Without the warnings of each curve: the notes say it once.
    plain = {
        rate: {
            name: quiet_edc(
                pairs.similarity,
                pairs.mated,
                pair_quality(values, pairs),
                rate,
                protocol=options.protocol,
            )
            for name, values in quality.items()
        }
        for rate in options.fmr
    }
    evidence = {
        rate: error_evidence(pairs, units.identities, curves[reference])
        for rate, curves in plain.items()
    }
    found: tuple[Replicates, ...] = ()
    if options.replicates:
        found = edc_replicates(
            pairs,
            units.identities,
            quality,
            fmrs=options.fmr,
            protocols=(options.protocol,),
            max_discards=(options.max_discard,),
            replicates=options.replicates,
            seed=options.seed,
        )
    # An interval over too few errors would only describe those.
    found = tuple(part for part in found if evidence[part.fmr].tells)
    bands = {part.fmr: edc_bands(part, reference=reference) for part in found}
    changes: dict[tuple[float, str], tuple[float, float, bool]] = {}
    if found and len(quality) > 1:
        # A quality does not differ from itself.
        changes = {(rate, reference): (0.0, 0.0, False) for rate in bands}
        table = difference_table(found, reference=reference).set_index("fmr")
        columns = table[["quality", "low", "high", "differs"]]
        for rate, name, *ends in columns.itertuples(name=None):
            changes[rate, name] = tuple(ends)
    areas = _areas(plain, evidence, bands, changes, reference, options)
    points = pd.concat(
        [
            _points(name, curve, bands.get(rate, {}).get(name), evidence[rate].tells)
            for rate, curves in plain.items()
            for name, curve in curves.items()
        ],
        ignore_index=True,
    )
    points_at = [
        operating_point(pairs.similarity, pairs.mated, rate) for rate in options.fmr
    ]
    verification = pd.DataFrame([point._asdict() for point in points_at]).assign(
        eer=equal_error_rate(pairs.similarity, pairs.mated),
        tells=[evidence[rate].tells for rate in options.fmr],
    )
    notes = [
        *zero_fmr_notes(points_at),
        *threshold_notes(plain),
        *tie_notes(plain[options.fmr[0]]),
        *interval_notes(units, found),
    ]
    for place, (column, value) in enumerate(who.items()):
        for table in (areas, points, verification):
            table.insert(place, column, value)
    return Comparison(
        **who,
        curves=plain,
        bands=bands,
        points=points,
        areas=areas,
        verification=verification,
        det=det(pairs.similarity, pairs.mated),
        silent={
            rate: too_few(each) for rate, each in evidence.items() if not each.tells
        },
        about_bands=about_intervals(
            units, found, next(iter(evidence.values())).unit, bool(options.replicates)
        ),
        notes=(*units.notes, *(f"{units.benchmark.name}: {line}" for line in notes)),
    )


def reversed_qualities(
    units: Units, pairs: Pairs, qualities: Sequence[Quality], options: EvaluationOptions
) -> list[str]:
    """Warn of qualities that fall where the similarity of mated comparisons rises.

    An image's mean mated similarity is no quality, as it needs other images of the
    person, but no quality should be opposed to it.
    """
    count, similarity = len(units.kept), pairs.similarity[pairs.mated]
    total, often = np.zeros(count), np.zeros(count)
    for side in (pairs.first[pairs.mated], pairs.second[pairs.mated]):
        total += np.bincount(side, similarity, minlength=count)
        often += np.bincount(side, minlength=count)
    known = often > 0
    lines = (
        check_direction(
            units.quality(quality.values, options.template_quality)[known],
            total[known] / often[known],
            name=quality.name,
            reference_name="the mean similarity of mated comparisons",
        )
        for quality in qualities
    )
    return [line for line in lines if line]


def _areas(
    plain: Mapping[float, Mapping[str, EDC]],
    evidence: Mapping[float, Evidence],
    bands: Mapping[float, Mapping[str, EDCBand]],
    changes: Mapping[tuple[float, str], tuple[float, float, bool]],
    reference: str,
    options: EvaluationOptions,
) -> "pd.DataFrame":
    """Tabulate areas: intervals of their own, and those of differences."""
    import pandas as pd

    limit, unknown, rows = options.max_discard, (np.nan, np.nan, False), []
    for rate, curves in plain.items():
        value = {name: pauc(curve, max_discard=limit) for name, curve in curves.items()}
        found = evidence[rate]
        for name, curve in curves.items():
            low, high, differs = changes.get((rate, name), unknown)
            band = bands.get(rate, {}).get(name)
            rows.append(
                {
                    "protocol": curve.protocol,
                    "fmr": rate,
                    "max_discard": limit,
                    "quality": name,
                    "pauc": value[name],
                    "low": float(band.pauc.low) if band else np.nan,
                    "high": float(band.pauc.high) if band else np.nan,
                    "fnmr_start": float(curve.fnmr[0]),
                    "errors": found.errors,
                    "units_with_errors": found.units,
                    "tells": found.tells,
                    "reference": reference,
                    "is_reference": name == reference,
                    "difference": value[name] - value[reference],
                    "difference_low": low,
                    "difference_high": high,
                    "differs": bool(differs),
                    "drawn": found.unit if options.replicates else "none",
                    "interval": band.method if band else "none",
                }
            )
    return pd.DataFrame(rows)


def _points(name: str, curve: EDC, band: EDCBand | None, tells: bool) -> "pd.DataFrame":
    """Tabulate the steps of a curve; many are thinned to those of the band."""
    import pandas as pd

    columns = ("discard_fraction", "fnmr", "threshold", "mated_count")
    table = pd.DataFrame(
        {
            "protocol": curve.protocol,
            "fmr": curve.fmr,
            "quality": name,
            **{each: getattr(curve, each) for each in (*columns, "non_mated_count")},
            "low": np.nan,
            "high": np.nan,
            "tells": tells,
        }
    )
    if band is None:
        return table
    # The step in force at each fraction at which the band is known.
    at = band.discard_fraction
    place = np.searchsorted(curve.discard_fraction, at + 1e-12, side="right")
    table = table.iloc[place - 1].reset_index(drop=True)
    rates = dict(zip(("fnmr", "low", "high"), band.fnmr, strict=True))
    return table.assign(discard_fraction=at, **rates)
