"""How often intervals of pAUC, and of paired differences, contain the truth.

    python experiments/coverage_pauc.py
    python experiments/coverage_pauc.py --quick

People are simulated whose images err as those of SFace do: a direction for each person
(cosines of two people have a standard deviation of 0.1), image noise that grows with a
severity, by a factor of the person's own, and a direction that degraded images share.
Three qualities: "good" and "other" know the noise up to errors of their own, so that
their true difference is zero; "random" knows nothing. The truth is
the mean over populations of many people. All intervals are asked for 95 %.

Written to coverage_pauc.json: {statistic: {people: {method: share that covers}}}, where
"family" is the share of samples in which all four differences to "good" (two
qualities, two rates) are covered at once.
"""

import argparse
import json
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from prefiqs_jax.fiqa import all_pairs, edc, edc_replicates, pair_quality, pauc
from prefiqs_jax.statistics.jackknife import jackknife_interval
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals

PEOPLE = (8, 10, 20, 40, 100)
IMAGES = 6
SIMULATIONS = 350
REPLICATES = 99
FMRS = (1e-2, 1e-3)
PROTOCOLS = ("fiqat", "proportional", "crfiqa")
QUALITIES = ("good", "other", "random")
POPULATION, POPULATIONS = 150, 24
# The bootstrap costs most, and what it does differs little between protocols and rates.
BOOTSTRAP, BOOTSTRAP_FMR = "fiqat", 1e-3
MANY = 100
"""So many people are simulated only where the two are compared."""


def main() -> None:
    """Simulate, print, write."""
    options = argparse.ArgumentParser(description="Count how often intervals cover.")
    options.add_argument("--quick", action="store_true", help="a few simulations")
    default = Path(__file__).with_suffix(".json")
    options.add_argument("--out", type=Path, default=default)
    options.add_argument("--processes", type=int, default=2)
    chosen = options.parse_args()
    people, simulations, populations = PEOPLE, SIMULATIONS, POPULATIONS
    if chosen.quick:
        people, simulations, populations = (8,), 3, 1
    context = multiprocessing.get_context("spawn")
    hits: dict[str, dict[str, dict[str, list[bool]]]] = {}
    with ProcessPoolExecutor(chosen.processes, mp_context=context) as pool:
        seeds = range(10**6, 10**6 + populations)
        true = np.mean(list(pool.map(truth, seeds)), axis=0)
        jobs = [(count, seed, true) for seed in range(simulations) for count in people]
        for place, one in enumerate(pool.map(covered, jobs)):
            for (statistic, method), hit in one.items():
                cell = hits.setdefault(statistic, {}).setdefault(
                    str(jobs[place][0]), {}
                )
                cell.setdefault(method, []).append(hit)
            if (place + 1) % (50 * len(people)) == 0 or place + 1 == len(jobs):
                result = shares(hits)
                chosen.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
                print(f"{place + 1} of {len(jobs)} samples", flush=True)
    for statistic, cells in shares(hits).items():
        for count, by in cells.items():
            told = ", ".join(f"{method} {share:.3f}" for method, share in by.items())
            print(f"{statistic}, {count} people: {told}")


def shares(hits: dict[str, dict[str, dict[str, list[bool]]]]) -> dict[str, Any]:
    """Divide the hits by the samples, whose number stands beside them."""
    return {
        statistic: {
            count: {
                **{name: round(float(np.mean(hit)), 3) for name, hit in by.items()},
                "samples": max(map(len, by.values())),
            }
            for count, by in cells.items()
        }
        for statistic, cells in sorted(hits.items())
    }


def sample(people: int, seed: int) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
    """Simulate comparisons, identities and qualities."""
    rng = np.random.default_rng(seed)
    dim, who = 96, np.repeat(np.arange(people), IMAGES)
    severity = rng.random(len(who))
    person = rng.normal(0, 0.35, people)[who]
    log_noise = np.log(0.5) + 1.6 * severity + person  # of the squared length
    direction = rng.normal(size=(people, dim))[who]
    noise = np.exp(log_noise / 2)[:, None] * rng.normal(size=(len(who), dim))
    shared = np.zeros(dim)
    shared[0] = 0.25 * np.sqrt(dim)
    embeddings = direction + noise + severity[:, None] * shared
    error = rng.normal(size=(2, len(who)))
    quality = {
        "good": -log_noise + 0.4 * error[0],
        "other": -log_noise + 0.4 * error[1],
        "random": rng.random(len(who)),
    }
    return all_pairs(embeddings, who), who, quality


def truth(seed: int) -> np.ndarray:
    """Give the areas of one population, by protocol, rate and quality."""
    pairs, _, quality = sample(POPULATION, seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* tie in quality at a cut")
        return np.array(
            [
                [
                    [
                        pauc(
                            edc(
                                pairs.similarity,
                                pairs.mated,
                                pair_quality(values, pairs),
                                fmr=fmr,
                                protocol=protocol,
                            )
                        )
                        for values in quality.values()
                    ]
                    for fmr in FMRS
                ]
                for protocol in PROTOCOLS
            ]
        )


def covered(job: tuple[int, int, np.ndarray]) -> dict[tuple[str, str], bool]:
    """Say which intervals of one sample contain the truth."""
    people, seed, true = job
    pairs, who, quality = sample(people, seed)
    hits: dict[tuple[str, str], bool] = {}
    for protocol, its_truth in zip(PROTOCOLS, true, strict=True):
        if people < MANY:
            found = _areas((pairs, who, quality), protocol, FMRS, people, "jackknife")
            for fmr, area, value in zip(FMRS, found, its_truth, strict=True):
                _add(hits, f"{protocol}, FMR {fmr:g}", {"jackknife": area}, value)
            change = (found[:, 1:] - found[:, :1]).reshape(-1, found.shape[-1]).T
            target = (its_truth[:, 1:] - its_truth[:, :1]).ravel()
            for name, ends in _families(change).items():
                inside = (ends[0] <= target) & (target <= ends[1])
                hits[f"{protocol}, family", name] = bool(inside.all())
        if protocol == BOOTSTRAP:
            fmrs, place = (BOOTSTRAP_FMR,), FMRS.index(BOOTSTRAP_FMR)
            both = {
                method: _areas((pairs, who, quality), protocol, fmrs, count, method)[0]
                for method, count in (("jackknife", people), ("bootstrap", REPLICATES))
            }
            _add(hits, f"{protocol}, FMR {BOOTSTRAP_FMR:g}", both, its_truth[place])
    return hits


def _areas(
    simulated: Any, protocol: str, fmrs: tuple[float, ...], count: int, method: str
) -> np.ndarray:
    """Give areas by rate, quality and replicate."""
    found = edc_replicates(
        *simulated,
        fmrs=fmrs,
        protocols=(protocol,),
        discard_fraction=[0.0],
        replicates=count,
        method=method,  # pyright: ignore[reportArgumentType]
    )
    return np.array([part.pauc[:, :, 0] for part in found])


def _add(
    hits: dict[tuple[str, str], bool],
    setting: str,
    areas: dict[str, np.ndarray],
    true: np.ndarray,
) -> None:
    """Hold every interval of every area and difference against the truth."""
    for row, name in enumerate(QUALITIES):
        cases = [(f"pAUC {name}", {m: v[row] for m, v in areas.items()}, true[row])]
        if row:
            change = {m: v[row] - v[0] for m, v in areas.items()}
            cases.append((f"{name} - good", change, true[row] - true[0]))
        for what, values, value in cases:
            for method, (low, high) in _intervals(
                values, positive="pAUC" in what
            ).items():
                hits[f"{setting}, {what}", method] = bool(low <= value <= high)


def _intervals(
    values: dict[str, np.ndarray], *, positive: bool
) -> dict[str, tuple[float, float]]:
    """Make every kind of interval of one statistic."""
    one_out = values["jackknife"]
    found: dict[str, Any] = {
        "jackknife t": jackknife_interval(one_out[0], one_out[1:]),
    }
    if positive and one_out.min() > 0:
        ends = jackknife_interval(np.log(one_out[0]), np.log(one_out[1:]))
        found["jackknife t of the logarithm"] = tuple(np.exp(ends))
    if "bootstrap" in values:
        value, drawn = values["bootstrap"][0], values["bootstrap"][1:]
        drawn = drawn[np.isfinite(drawn)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        reach = stats.t.ppf(0.975, len(one_out) - 2) * drawn.std(ddof=1)
        found["bootstrap percentile"] = (low, high)
        found["bootstrap basic"] = (2 * value - high, 2 * value - low)
        found["bootstrap standard error, t"] = (value - reach, value + reach)
        found["bootstrap BCa"] = _bca(value, drawn, one_out[1:])
    return found


def _bca(value: float, drawn: np.ndarray, one_out: np.ndarray) -> tuple[float, float]:
    """Correct percentiles for bias and acceleration (Efron & Tibshirani, ch. 14)."""
    below = (np.sum(drawn < value) + np.sum(drawn <= value)) / 2
    bias = stats.norm.ppf(np.clip(below / len(drawn), 1e-3, 1 - 1e-3))
    away = one_out.mean() - one_out
    square = np.sum(away**2)
    acceleration = np.sum(away**3) / (6 * square**1.5) if square > 0 else 0.0
    shifted = bias + stats.norm.ppf([0.025, 0.975])
    levels = stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(drawn, levels)
    return float(low), float(high)


def _families(change: np.ndarray) -> dict[str, Any]:
    """Make intervals of all differences: each alone, and two ways together."""
    alone = jackknife_interval(change[0], change[1:])
    each = 1 - 0.05 / change.shape[1]
    return {
        "jackknife t, each alone": alone,
        "jackknife t, Bonferroni": jackknife_interval(
            change[0], change[1:], level=each
        ),
        "jackknife max-t": simultaneous_intervals(change, "jackknife"),
    }


if __name__ == "__main__":
    main()
