"""Hold qualities against recognition errors: of one benchmark, verifier and scorer."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.options import EvaluationOptions
from prefiqs_jax.evaluation.qualities import Quality
from prefiqs_jax.evaluation.units import Units
from prefiqs_jax.fiqa import (
    DET,
    EDC,
    EDCBand,
    Pairs,
    det,
    edc,
    edc_bands,
    edc_replicates,
    equal_error_rate,
    operating_point,
    pair_quality,
    pauc,
)
from prefiqs_jax.fiqa.verification import OperatingPoint
from prefiqs_jax.scorefiles import check_direction

if TYPE_CHECKING:
    import pandas as pd

NO_SCORER = "none"
"""Who scores where all qualities come from files."""
_UNIT_NAMES = {
    "identity": "identity",
    "image": "image, as identities are not known: they are too narrow where several "
    "images show one person",
    "template": "template, as identities are not known: they are too narrow where "
    "several templates show one person",
    "comparison": "comparison, as identities are not known and no two share an image: "
    "they are too narrow where several comparisons are of one person",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What came of one benchmark, verifier and scorer.

    Attributes
    ----------
    benchmark, kind
        Name, and kind as in :data:`prefiqs_jax.benchmarks.KINDS`.
    verifier, scorer
        Networks.
    curves, bands
        False match rate to curves by quality, and to those with intervals, if any.
    points, areas, verification
        Tables: of the curves' steps, of areas and differences, of the errors before
        any discard.
    det
        Error rates at every threshold.
    about_bands
        What the intervals are, in words.
    notes
        What the user should know, one line each.
    """

    benchmark: str
    kind: str
    verifier: str
    scorer: str
    curves: Mapping[float, Mapping[str, EDC]]
    bands: Mapping[float, Mapping[str, EDCBand]]
    points: "pd.DataFrame"
    areas: "pd.DataFrame"
    verification: "pd.DataFrame"
    det: DET
    about_bands: str
    notes: tuple[str, ...]


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
        Of the usable pictures.
    verifier, scorer
        Names of the networks.
    options
        How.

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
    plain = {
        rate: {
            name: edc(
                pairs.similarity,
                pairs.mated,
                pair_quality(values, pairs),
                fmr=rate,
                protocol=options.protocol,
            )
            for name, values in quality.items()
        }
        for rate in options.fmr
    }
    bands, about = _bands(units, pairs, quality, reference, options)
    areas = pd.concat(
        [
            _areas(plain[rate], bands.get(rate), reference, options)
            for rate in options.fmr
        ],
        ignore_index=True,
    )
    points = pd.concat(
        [
            _points(name, curve, bands.get(rate, {}).get(name))
            for rate in options.fmr
            for name, curve in plain[rate].items()
        ],
        ignore_index=True,
    )
    points_at = [
        operating_point(pairs.similarity, pairs.mated, rate) for rate in options.fmr
    ]
    verification = pd.DataFrame([point._asdict() for point in points_at]).assign(
        eer=equal_error_rate(pairs.similarity, pairs.mated)
    )
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
        about_bands=about,
        notes=(*units.notes, *_zero_fmr(units.benchmark.name, points_at)),
    )


def reversed_qualities(
    units: Units, pairs: Pairs, qualities: Sequence[Quality], options: EvaluationOptions
) -> list[str]:
    """Warn of qualities that fall where the similarity of mated comparisons rises.

    A picture's mean mated similarity is no quality, as it needs other pictures of the
    person, but no quality should be opposed to it.

    Parameters
    ----------
    units, pairs
        What is compared, by the first network.
    qualities
        That others declared the direction of.
    options
        How templates get their quality.
    """
    reference, known = _mean_mated_similarity(pairs, len(units.kept))
    lines = []
    for quality in qualities:
        values = units.quality(quality.values, options.template_quality)
        line = check_direction(
            values[known],
            reference[known],
            name=quality.name,
            reference_name="the mean similarity of mated comparisons",
        )
        if line:
            lines.append(line)
    return lines


def _mean_mated_similarity(
    pairs: Pairs, count: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    similarity = pairs.similarity[pairs.mated]
    total, often = np.zeros(count), np.zeros(count)
    for side in (pairs.first[pairs.mated], pairs.second[pairs.mated]):
        total += np.bincount(side, similarity, minlength=count)
        often += np.bincount(side, minlength=count)
    return total / np.maximum(often, 1), often > 0


def _bands(
    units: Units,
    pairs: Pairs,
    quality: Mapping[str, NDArray[np.float64]],
    reference: str,
    options: EvaluationOptions,
) -> tuple[dict[float, dict[str, EDCBand]], str]:
    if not options.replicates:
        return {}, "No intervals were asked for."
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
    kind = found[0].unit
    if kind == "image" and units.members is not None:
        kind = "template"
    about = f"Bands are 95 % bootstrap intervals by {_UNIT_NAMES[kind]}."
    if kind == "identity":
        about = f"{about[:-1]} (known from: {units.benchmark.identity_source})."
    bands = {each.fmr: edc_bands(each, reference=reference) for each in found}
    return bands, about


def _areas(
    curves: Mapping[str, EDC],
    bands: Mapping[str, EDCBand] | None,
    reference: str,
    options: EvaluationOptions,
) -> "pd.DataFrame":
    import pandas as pd

    limit = options.max_discard
    value = {name: pauc(curve, max_discard=limit) for name, curve in curves.items()}
    rows = []
    for name, curve in curves.items():
        row = {
            "protocol": curve.protocol,
            "fmr": curve.fmr,
            "max_discard": limit,
            "quality": name,
            "pauc": value[name],
            "low": np.nan,
            "high": np.nan,
            "fnmr_start": float(curve.fnmr[0]),
            "reference": reference,
            "is_reference": name == reference,
            "difference": value[name] - value[reference],
            "difference_low": np.nan,
            "difference_high": np.nan,
            "is_real": False,
            "drawn": "none",
        }
        if bands is not None:
            band = bands[name]
            low, high = (float(end) for end in band.pauc_difference[1:])
            row |= {
                "low": float(band.pauc.low),
                "high": float(band.pauc.high),
                "difference_low": low,
                "difference_high": high,
                "is_real": low > 0 or high < 0,
                "drawn": band.unit,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _points(name: str, curve: EDC, band: EDCBand | None) -> "pd.DataFrame":
    """Tabulate the steps of a curve; many are thinned to those of the band."""
    import pandas as pd

    columns = {
        "protocol": curve.protocol,
        "fmr": curve.fmr,
        "quality": name,
        "discard_fraction": curve.discard_fraction,
        "fnmr": curve.fnmr,
        "threshold": curve.threshold,
        "mated_count": curve.mated_count,
        "non_mated_count": curve.non_mated_count,
    }
    table = pd.DataFrame(columns)
    if band is None:
        return table.assign(low=np.nan, high=np.nan)
    # The step in force at each fraction at which the band is known.
    place = np.searchsorted(
        curve.discard_fraction, band.discard_fraction + 1e-12, side="right"
    )
    table = table.iloc[place - 1].reset_index(drop=True)
    return table.assign(
        discard_fraction=band.discard_fraction,
        fnmr=band.fnmr.value,
        low=band.fnmr.low,
        high=band.fnmr.high,
    )


def _zero_fmr(benchmark: str, points: Sequence[OperatingPoint]) -> list[str]:
    return [
        f"{benchmark}: FMR {point.fmr:g} is finer than {point.non_mated_count:,} "
        "non-mated comparisons can tell: it is the ZeroFMR, no false match at all"
        for point in points
        if point.is_zero_fmr
    ]
