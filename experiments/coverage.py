"""Measure how often 95 % intervals over few people cover the truth.

Rows are simulated as a sweep has them: several images per person, half of the variance
between people, half between the images of one. The truth is the statistic of a very
large sample of the same kind. Writes ``coverage.json``: settings; under ``coverage``
statistic, people, method and the fraction of intervals that cover, of those that there
are; under ``simulations`` how many there were of each, and under ``given`` the fraction
of them in which the package gives an interval, where that is not always. ``percentile``
is the percentile bootstrap by identity; ``used`` is what the package uses.

    python experiments/coverage.py [--simulations 1000] [--quick]

``--replicates 0`` leaves the percentile bootstrap out; ``--add`` keeps what the record
has of other statistics and methods.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from prefiqs_jax.files import write_text
from prefiqs_jax.statistics import (
    STATISTICS,
    Sample,
    bootstrap_weights,
    jackknife_interval,
    percentile_interval,
    summarise,
    without_each,
)

PEOPLE = (4, 6, 8, 10, 20, 40)
MEASURED = tuple(STATISTICS)
CORRELATIONS = ("spearman", "kendall", "pearson")
FEW = 20
"""Fewer simulations only try the script: of every kind with every number of people."""
LARGE = 100_000
"""People of the sample that gives the truth."""

Coverage = dict[str, dict[str, dict[str, float | None]]]
"""Statistic (and kind of data), people, method: fraction of intervals that cover,
None where there is no interval."""


class Kind(NamedTuple):
    """A kind of data."""

    images: int = 5
    """Per person; on average, where ``uneven``."""
    uneven: bool = False
    heavy: bool = False
    """Laplace instead of normal deviations, on the logarithmic scale."""
    scatter: float = 0.2
    """Standard deviation of log(drift / first order)."""


KINDS = {
    "": Kind(),
    ", different images per person": Kind(uneven=True),
    ", heavy tails": Kind(heavy=True),
    ", correlation 0.98": Kind(scatter=0.08),
    ", one image per person": Kind(images=1),
} | {
    f", correlation {rho}, {images} per person": Kind(images=images, scatter=scatter)
    for rho, scatter in (
        ("0.98", 0.08),
        ("0.995", 0.04),
        ("0.9986", 0.02),
        ("0.9997", 0.0093),
    )
    for images in (1, 2, 5)
    if (rho, images) != ("0.98", 5)
}
HIGH = (8, 10, 20)
"""People of the kinds of high correlation; the statistics are the correlations."""


def simulate(
    kind: Kind, people: int, rng: np.random.Generator
) -> tuple[Sample, np.ndarray]:
    """Draw the images of some people: the sample and the person of each image."""
    sizes = np.full(people, kind.images)
    if kind.uneven:
        sizes = rng.geometric(1 / kind.images, people)
    person = np.repeat(np.arange(people), sizes)

    def deviation() -> np.ndarray:
        if kind.heavy:
            own, shared = (
                rng.laplace(size=n) / np.sqrt(2) for n in (len(person), people)
            )
        else:
            own, shared = (rng.standard_normal(n) for n in (len(person), people))
        return np.sqrt(0.5) * (own + shared[person])

    first_order = 0.1 * np.exp(0.4 * deviation())
    drift = first_order * np.exp(kind.scatter * deviation())
    residual = drift * 0.3 * np.exp(0.5 * deviation())
    cosine = np.clip(1 - 0.05 * np.exp(0.6 * deviation()), -1, 1)
    return Sample(first_order, drift, residual, cosine), person


def rows_coverage(
    people: Sequence[int],
    simulations: int,
    replicates: int,
    names: Sequence[str] = MEASURED,
    seed: int = 0,
) -> tuple[Coverage, Coverage]:
    """Measure the intervals of statistics over the rows of a sweep.

    Parameters
    ----------
    people
        Numbers of people.
    simulations
        Simulated data sets for each kind of data and number of people.
    replicates
        Bootstrap replicates of the percentile interval; 0 leaves it out.
    names
        Statistics to measure.
    seed
        Key of every random draw.

    Returns
    -------
    coverage, given
        Fraction of the intervals that cover, NaN where there are none; and fraction of
        simulations with an interval of the package.
    """
    found: Coverage = {}
    given: Coverage = {}
    for title, kind in KINDS.items():
        is_high = "per person" in title and "correlation" in title
        chosen = [n for n in names if not is_high or n in CORRELATIONS]
        large, _ = simulate(kind, LARGE, np.random.default_rng([seed, 1]))
        whole = np.ones((1, len(large.drift)))
        truth = {name: STATISTICS[name](large, whole).item() for name in chosen}
        for count in people:
            if is_high and count not in HIGH and simulations >= FEW:
                continue
            rng = np.random.default_rng([seed, 2, count])
            hits: dict[tuple[str, str], list[float]] = {}
            samples = [simulate(kind, count, rng) for _ in range(simulations)]
            used = _used(samples)
            for place, (sample, person) in enumerate(samples):
                measured = _intervals(sample, person, replicates, rng, chosen)
                own = {name: used[place, name] for name in chosen}
                for method, ends in [*measured, ("used", own)]:
                    for name, (low, high) in ends.items():
                        covers = low <= truth[name] <= high
                        hit = float(covers) if np.isfinite(low + high) else np.nan
                        hits.setdefault((name, method), []).append(hit)
            for (name, method), each in hits.items():
                there = np.array(each)[np.isfinite(each)]
                lines = found.setdefault(name + title, {}).setdefault(str(count), {})
                lines[method] = round(float(there.mean()), 4) if len(there) else None
                if method == "used" and len(there) < len(each):
                    shares = given.setdefault(name + title, {})
                    shares[str(count)] = {"used": round(len(there) / len(each), 4)}
            print(f"{count} people{title}", file=sys.stderr)
    return found, given


def _intervals(
    sample: Sample,
    person: np.ndarray,
    replicates: int,
    rng: np.random.Generator,
    names: Sequence[str],
) -> list[tuple[str, dict[str, tuple[float, float]]]]:
    without = without_each(person, 0, int(person.max()) + 1)
    everything = np.ones((1, len(person)))
    linear = {}
    for name in names:
        statistic = STATISTICS[name]
        value = statistic(sample, everything).item()
        low, high = jackknife_interval(value, statistic(sample, without))
        linear[name] = float(low), float(high)
    methods = [("jackknife, linear", linear)]
    if replicates:
        drawn = bootstrap_weights(person, replicates, rng)
        percentile = {
            name: percentile_interval(STATISTICS[name](sample, drawn)) for name in names
        }
        methods.insert(0, ("percentile", percentile))
    return methods


def _used(
    samples: Sequence[tuple[Sample, np.ndarray]],
) -> dict[tuple[int, str], tuple[float, float]]:
    """Summarise all samples at once, each as a sparsity of its own."""
    rows = pd.concat(
        pd.DataFrame(
            {
                **sample._asdict(),
                "sparsity": place,
                "image": np.arange(len(person)).astype(str),
                "identity": person.astype(str),
            }
        )
        for place, (sample, person) in enumerate(samples)
    )
    table = summarise(rows.assign(backbone="simulated", mask="simulated"))
    keys = zip(table["sparsity"], table["statistic"], strict=True)
    return dict(zip(keys, zip(table["low"], table["high"], strict=True), strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON, print a line for each statistic; return 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--simulations", type=int, default=1000, metavar="N")
    parser.add_argument("--replicates", type=int, default=500, metavar="N")
    parser.add_argument("--statistics", default=",".join(MEASURED), metavar="LIST")
    parser.add_argument("--add", action="store_true", help="keep the record's others")
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_suffix(".json"), metavar="FILE"
    )
    options = parser.parse_args(arguments)
    people, simulations, replicates = PEOPLE, options.simulations, options.replicates
    if options.quick:
        people, simulations, replicates = (4, 10), 4, 20
    record = {"settings": {}, "coverage": {}, "simulations": {}, "given": {}}
    if options.add:
        record |= json.loads(options.out.read_text())
    names = options.statistics.split(",")
    coverage, given = rows_coverage(people, simulations, replicates, names)
    for name, by_people in coverage.items():
        record["given"].pop(name, None)
        for count, methods in by_people.items():
            held = record["coverage"].setdefault(name, {}).setdefault(count, {})
            held |= methods
            counts = record["simulations"].setdefault(name, {})
            counts |= dict.fromkeys(methods, simulations)
    record["given"] |= given
    record["settings"] = {"level": 0.95, "replicates": replicates or 500}
    write_text(options.out, json.dumps(record, indent=1) + "\n")
    for name, by_people in coverage.items():
        for count, methods in by_people.items():
            told = ", ".join(
                f"{'no interval' if hit is None else f'{100 * hit:.1f} %'} {how}"
                for how, hit in methods.items()
            )
            print(f"{name}, {count} people: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
