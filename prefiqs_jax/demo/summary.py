"""A demo in ten lines that a researcher understands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.demo.evaluation import FIRST_ORDER, PREFIQS, RANDOM, SEVERITY
from prefiqs_jax.demo.settings import DISCARD, QUALITY_SPARSITY
from prefiqs_jax.demo.severities import rising
from prefiqs_jax.fiqa import EDCBand, few_told
from prefiqs_jax.report.values import with_interval
from prefiqs_jax.statistics import gathered

if TYPE_CHECKING:
    import pandas as pd

_TOLD = (0.1, 0.2, 0.3)


def summary(
    *,
    network: str,
    statistics: "pd.DataFrame",
    within_clean: "pd.DataFrame",
    verification: "pd.DataFrame",
    levels: "pd.DataFrame",
    bands: Mapping[str, EDCBand],
) -> list[str]:
    """Write what a demo found, in nine sentences.

    Takes the network's name and number of weights, the agreement of first order and
    drift of all images and within the clean ones, and the parts of the demo.
    """
    errors = verification.set_index("pictures")
    clean, every = errors.loc["clean"], errors.loc["all"]
    missed, ranked = (
        ", ".join(f"{written(statistics, name, at)} at {at:g}" for at in _TOLD)
        for name, written in (
            ("median_relative_residual", _as_percent),
            ("spearman", _as_number),
        )
    )
    warned = "".join(f" {sentence}" for sentence in gathered(statistics))
    in_clean = _as_number(within_clean, "spearman", _TOLD[-1])
    rise, fall = rising(levels)
    but = f"; not of {_listed(fall)}" if fall else ""
    kept = {name: _after_discard(band) for name, band in bands.items()}
    told = few_people(bands)
    return [
        f"{int(every['images'])} images of synthetic people, "
        f"{int(clean['images'])} of them clean; network {network}.",
        f"Recognition: equal error rate {_percent(clean['eer'])} on the clean "
        f"images, {_percent(every['eer'])} on all.",
        "The first order misses of the change of the embedding (median relative "
        f"residual [95 % interval] at sparsity): {missed}.{warned}",
        f"In rank (Spearman's ρ of first order and drift): {ranked}; within the clean "
        f"images alone {in_clean} at {_TOLD[-1]:g}.",
        f"At sparsity {QUALITY_SPARSITY:g} the mean drift rises with severity at every "
        f"step for {len(rise)} of {len(rise) + len(fall)} degradations{but}.",
        f"False non-match rate at FMR {every['fmr']:g}, all images: "
        f"{_percent(every['fnmr'])}.",
        f"Without the {100 * DISCARD:g} % of comparisons of lowest PreFIQs quality: "
        f"{kept[PREFIQS]}.{told}",
        f"By the first order alone, without pruning: {kept[FIRST_ORDER]}.",
        f"By the known severity: {kept[SEVERITY]}; in random order: {kept[RANDOM]}.",
    ]


def few_people(bands: Mapping[str, EDCBand]) -> str:
    """Say so, in a sentence after others, where the bands are of too few people."""
    band = next(iter(bands.values()))
    told = few_told(band.unit, band.unit_count, "people")
    return f" {told[0].upper()}{told[1:]}." if told else ""


def _after_discard(band: EDCBand) -> str:
    place = int(np.argmin(np.abs(band.discard_fraction - DISCARD)))
    value, low, high = (float(part[place]) for part in band.fnmr)
    start = float(band.fnmr.value[0])
    words = f"{_percent(value)} [{_percent(low)}, {_percent(high)}]"
    if np.isnan(low):
        words = f"{_percent(value)} (no error left, so no interval)"
    if start == 0:
        return words
    return f"{words}, {100 * (value / start - 1):+.0f} %".replace("-", "−")


def _as_number(statistics: "pd.DataFrame", name: str, sparsity: float) -> str:
    return with_interval(*_found(statistics, name, sparsity))


def _as_percent(statistics: "pd.DataFrame", name: str, sparsity: float) -> str:
    value, low, high = _found(statistics, name, sparsity)
    interval = f" [{100 * low:.1f}, {100 * high:.1f}]" if np.isfinite(low) else ""
    return _percent(value) + interval


def _found(statistics: "pd.DataFrame", name: str, sparsity: float) -> list[float]:
    at = np.isclose(statistics["sparsity"].to_numpy(np.float64), sparsity)
    chosen = statistics.loc[at & (statistics["statistic"] == name)]
    return chosen[["value", "low", "high"]].to_numpy(np.float64)[0].tolist()


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _listed(names: list[str]) -> str:
    words = [name.replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
