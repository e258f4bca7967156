"""A run made up of vectors, so that its norms belong together, and sums by hand."""

import numpy as np
import pandas as pd

from prefiqs_jax.sensitivity import CONTROLS
from prefiqs_jax.statistics import with_derived

PEOPLE, EACH, DIM = 10, 4, 6
SPARSITIES = (0.1, 0.3, 0.6)
LAYERS = ("conv1/kernel", "conv2/kernel", "fc/kernel")
SCALES = 2.0 ** np.arange(2, -8, -1)
WEIGHTS = 1000


def norms(vectors):
    return np.linalg.norm(vectors, axis=-1)


def along_the_line(rng, drift):
    """Draw what analysis/paths.py measures: remainders as t^1.5, or t^(k + 1)."""
    factor = rng.uniform(0.02, 0.4, len(drift))
    columns = {"length": 1.1 * drift, "path_error": 0.01 * drift, "panels": 3}
    for t in SCALES:
        columns[f"moved_{t:g}"] = drift * t
        for k in (1, 2, 3):
            columns[f"order{k}_{t:g}"] = factor / k * drift * t**1.5
            columns[f"frozen{k}_{t:g}"] = 0.01 * factor * drift * t ** (k + 1)
    return columns | {"norm": rng.uniform(5, 20, len(drift)) / factor}


def of_the_metric(rng, sparsity, first_order):
    """Draw what analysis/metric.py measures; eigenvalues of five faces of as many."""
    count = len(first_order)
    few = np.isin(np.arange(count), np.arange(5) * EACH)

    def spread(values):
        return np.where(few, values, np.nan)

    trace = WEIGHTS * rng.lognormal(0, 0.2, count)
    columns = {"weights": WEIGHTS, "delta_norm": sparsity, "trace": trace}
    columns["trace_error"] = 0.05 * trace
    columns["expected"] = 2 * first_order**2 * rng.lognormal(0, 0.3, count)
    columns["expected_error"] = 0.1 * columns["expected"]
    for place in (1, 2):
        columns[f"eigenvalue_{place}"] = spread(trace / (4 * place))
        # That of the third face has not converged.
        loose = np.where(np.arange(count) == 2 * EACH, 0.2, 1e-3)
        columns[f"eigen_residual_{place}"] = columns[f"eigenvalue_{place}"] * loose
    columns["share_norm"] = spread(rng.uniform(1e-3, 2e-3, count))
    columns["share_effect"] = spread(rng.uniform(0.2, 0.4, count))
    columns["share_random"] = spread(2 / WEIGHTS)
    columns["share_by_layer"] = spread(rng.uniform(1e-3, 2e-3, count))
    return columns


def simulate(record):
    """Draw a run of 40 clean images of 10 people, and a degraded copy of each.

    Gives ``record(…)`` as scripts measure it, and the vectors behind its rows by
    sparsity: first order, smooth and kink part of its error, parts of the layers.
    """
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(PEOPLE), EACH)
    originals = [f"p{person}/{i}.png" for i, person in enumerate(who)]
    images = [*originals, *(f"{name}~blur_0.5" for name in originals)]
    severity = np.repeat([0.0, 0.5], len(originals))
    again = np.random.default_rng(1)
    rows, vectors, tables = [], {}, {"layers": [], "kinks": [], "controls": []}
    for sparsity in SPARSITIES:
        layers = rng.normal(0, sparsity, (3, len(images), DIM))
        layers[2] += 3 * layers[2] * (severity == 0)[:, None]  # clean: the last one
        first = layers.sum(axis=0)
        along = first / norms(first)[:, None]
        smooth = rng.normal(0, sparsity**2, first.shape)
        kinks = rng.normal(0, 0.05 * sparsity, first.shape)
        second = 0.8 * smooth
        moved = first + smooth + kinks
        vectors[sparsity] = (first, smooth, kinks, layers)
        flips = rng.integers(1, 50, (2, len(images)))
        rows.append(
            pd.DataFrame(
                {
                    "backbone": "toy",
                    "mask": "global/magnitude",
                    "image": images,
                    "identity": [f"p{i}" for i in who] * 2,
                    "copy_of": originals * 2,
                    "severity": severity,
                    "sparsity": sparsity,
                    "first_order": norms(first),
                    "drift": norms(moved),
                    "cosine": (first * moved).sum(1) / norms(first) / norms(moved),
                    "residual": norms(smooth + kinks),
                    "second_order_residual": norms(moved - first - second),
                    "third_order_residual": 2 * norms(moved - first - second),
                    "predicted_error": norms(second) / norms(first),
                    "flips": flips.sum(axis=0).astype(float),
                    "predicted_flips": 2.0 * flips.sum(axis=0),
                    "near_kinks": np.where(np.arange(len(images)) % 20, 0.0, 3.0),
                    "smooth_residual": norms(smooth),
                    "kink_residual": norms(kinks),
                    **along_the_line(again, norms(moved)),
                    **of_the_metric(again, sparsity, norms(first)),
                }
            )
        )
        front = {"mask": "global/magnitude", "sparsity": sparsity, "image": images}
        for place, name in enumerate(LAYERS):
            share = (layers[place] * along).sum(axis=1)
            tables["layers"].append(
                pd.DataFrame({**front, "layer": name, "contribution": share})
            )
        for place, name in enumerate(("relu1", "relu2")):
            counts = {"flips": flips[place], "predicted_flips": 2 * flips[place]}
            label = {"activation": name}
            tables["kinks"].append(pd.DataFrame({**front, **label, **counts}))
        for kind in CONTROLS:
            for replicate in range(1 if kind == "growth" else 3):
                scale = rng.lognormal(0, 0.3, len(images))
                numbers = {
                    "first_order": norms(first) * scale / 2,
                    "drift": norms(moved) * scale / 2,
                    "residual": norms(smooth + kinks) * scale / 2,
                    "cosine": rng.uniform(0.9, 1, len(images)),
                }
                name = {"control": f"{kind}/{replicate}"}
                tables["controls"].append(pd.DataFrame({**front, **name, **numbers}))
    manifest = {
        "settings": {"sparsities": list(SPARSITIES), "with": []},
        "masks": ["global/magnitude"] * 3,
        "layers": [
            {"name": name, "delta_norm": [1.0 * place, 2.0, 3.0]}
            for place, name in enumerate(LAYERS)
        ],
    }
    made = record(
        "simulated",
        "global/magnitude",
        with_derived(pd.concat(rows, ignore_index=True)),
        {name: pd.concat(each, ignore_index=True) for name, each in tables.items()},
        manifest,
        1e-5,
    )
    return made, vectors


def one(table, **keys):
    """Give the only line with these values."""
    for name, value in keys.items():
        table = table[table[name] == value]
    (line,) = table.to_dict("records")
    return line


def without_each_person(values, statistic=np.mean):
    """Compute a statistic of 40 clean images without each person, by hand."""
    who = np.repeat(np.arange(PEOPLE), EACH)
    return np.array([statistic(values[who != person]) for person in range(PEOPLE)])
