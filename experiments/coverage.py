"""Measure how often 95 % intervals over few people cover the truth.

Rows are simulated as a sweep has them: several images per person, half of the variance
between people, half between the images of one. The truth is the statistic of a very
large sample of the same kind. Writes ``coverage.json``: settings, and under
``coverage`` statistic, people, method and the fraction of simulations whose interval
covers. ``percentile`` is the percentile bootstrap by identity; ``used`` is what the
package uses.

    python experiments/coverage.py [--simulations 1000] [--quick]
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
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
MEASURED = ("median_relative_residual", "spearman", "slope", "mean_cosine")
LARGE = 100_000
"""People of the sample that gives the truth."""

Coverage = dict[str, dict[str, dict[str, float]]]
"""Statistic (and kind of data), people, method: fraction of intervals that cover."""


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
}


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
    people: Sequence[int], simulations: int, replicates: int, seed: int = 0
) -> Coverage:
    """Measure the intervals of statistics over the rows of a sweep.

    Parameters
    ----------
    people
        Numbers of people.
    simulations
        Of each kind of data and number of people.
    replicates
        Of the percentile bootstrap.
    seed
        Of all draws.
    """
    found: Coverage = {}
    for title, kind in KINDS.items():
        large, _ = simulate(kind, LARGE, np.random.default_rng([seed, 1]))
        whole = np.ones((1, len(large.drift)))
        truth = {name: STATISTICS[name](large, whole).item() for name in MEASURED}
        for count in people:
            rng = np.random.default_rng([seed, 2, count])
            hits: dict[tuple[str, str], list[bool]] = {}
            for _ in range(simulations):
                sample, person = simulate(kind, count, rng)
                for method, ends in _intervals(sample, person, replicates, rng):
                    for name, (low, high) in ends.items():
                        covers = low <= truth[name] <= high
                        hits.setdefault((name, method), []).append(bool(covers))
            for (name, method), each in hits.items():
                lines = found.setdefault(name + title, {}).setdefault(str(count), {})
                lines[method] = round(float(np.mean(each)), 4)
            print(f"{count} people{title}", file=sys.stderr)
    return found


def _intervals(
    sample: Sample, person: np.ndarray, replicates: int, rng: np.random.Generator
) -> list[tuple[str, dict[str, tuple[float, float]]]]:
    drawn = bootstrap_weights(person, replicates, rng)
    without = without_each(person, 0, int(person.max()) + 1)
    everything = np.ones((1, len(person)))
    percentile, linear = {}, {}
    for name in MEASURED:
        statistic = STATISTICS[name]
        percentile[name] = percentile_interval(statistic(sample, drawn))
        value = statistic(sample, everything).item()
        low, high = jackknife_interval(value, statistic(sample, without))
        linear[name] = float(low), float(high)
    rows = pd.DataFrame(
        {
            **sample._asdict(),
            "backbone": "simulated",
            "mask": "simulated",
            "sparsity": 0.4,
            "image": np.arange(len(person)).astype(str),
            "identity": person.astype(str),
        }
    )
    table = summarise(rows).set_index("statistic")
    used = {
        name: (float(table.at[name, "low"]), float(table.at[name, "high"]))
        for name in MEASURED
    }
    return [("percentile", percentile), ("jackknife, linear", linear), ("used", used)]


PARTS: dict[str, Callable[[Sequence[int], int, int], Coverage]] = {
    "rows": rows_coverage
}
"""What is measured, by name; the results are written side by side."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON, print a line for each statistic; return 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--simulations", type=int, default=1000, metavar="N")
    parser.add_argument("--replicates", type=int, default=500, metavar="N")
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_suffix(".json"), metavar="FILE"
    )
    options = parser.parse_args(arguments)
    people, simulations, replicates = PEOPLE, options.simulations, options.replicates
    if options.quick:
        people, simulations, replicates = (4, 10), 4, 20
    coverage: Coverage = {}
    for part in PARTS.values():
        coverage |= part(people, simulations, replicates)
    settings = {"level": 0.95, "simulations": simulations, "replicates": replicates}
    text = json.dumps({"settings": settings, "coverage": coverage}, indent=1)
    write_text(options.out, text + "\n")
    for name, by_people in coverage.items():
        for count, methods in by_people.items():
            told = ", ".join(f"{100 * hit:.1f} % {how}" for how, hit in methods.items())
            print(f"{name}, {count} people: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
