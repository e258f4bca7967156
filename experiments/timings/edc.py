"""What an evaluation costs: from embeddings to error-versus-discard with intervals.

    python experiments/timings/edc.py
    python experiments/timings/edc.py --setting adience --replicates 50

Two simulated sets. ``ijbc``: 469,000 images of 3,531 identities and 15.6 million listed
comparisons, 19,557 of them mated, as the published counts of IJB-C have it; listed by
first image, and once more in random order for the similarities alone. ``adience``: all
187.6 million comparisons of 19,370 images of 2,284 identities. Embeddings have 512
numbers, in float32, with noise of known strength for each image; one quality knows it
and one is random. What is timed starts with the embeddings and ends with the curves,
areas and their paired intervals under "crfiqa" and "fiqat". Each set has a process of
its own, whose peak memory is that of all it holds.

In turn with the similarities run, by as many threads, one plain read of the embeddings
from end to end, and one copy of the second rows of all comparisons into the cache,
which is what any way of comparing pairs at random reads at least. The rate of
similarities counts both rows of each comparison, from memory or from the cache.
"""

import argparse
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from common import hardware, output_path, parser, peak_rss, ratio, write
from numpy.typing import NDArray

from prefiqs_jax.execution.threads import in_threads, usable_cores
from prefiqs_jax.fiqa import (
    Pairs,
    all_pairs,
    difference_table,
    edc,
    edc_replicates,
    pair_quality,
    pair_similarity,
    unit_embeddings,
)

DIM = 512
SETTINGS: dict[str, dict[str, Any]] = {
    "ijbc": {
        "images": 469_000,
        "identities": 3_531,
        "mated": 19_557,
        "non_mated": 15_600_000,
    },
    "adience": {"images": 19_370, "identities": 2_284},
}
QUICK = {
    "ijbc": {"images": 2_000, "identities": 50, "mated": 500, "non_mated": 30_000},
    "adience": {"images": 300, "identities": 40},
}
FMR = 1e-3
SECONDS = 60.0
GIGABYTES = 8.0


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    out = output_path("edc", options.out)
    result: dict[str, Any] = {
        "benchmark": "edc",
        "replicates": options.replicates,
        "fmr": FMR,
        "protocols": ["crfiqa", "fiqat"],
        "qualities": 2,
        "threads": usable_cores(),
        "numpy": np.__version__,
        "hardware": hardware(),
        "rows": [],
    }
    for setting in options.setting or SETTINGS:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            sizes = (QUICK if options.quick else SETTINGS)[setting]
            row = pool.submit(measure, setting, sizes, options.replicates).result()
        result["rows"].append(row)
        print(describe(row), flush=True)
        write(out, result, figures(result["rows"]))
    print(out)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser("Time an evaluation, from embeddings to curves with intervals.")
    made.add_argument("--setting", action="append", choices=list(SETTINGS))
    made.add_argument("--replicates", type=int, default=200)
    options = made.parse_args()
    if options.quick:
        options.replicates = 5
    return options


def measure(setting: str, sizes: dict[str, int], replicates: int) -> dict[str, Any]:
    """Time one set, part by part."""
    rng = np.random.default_rng(0)
    who, noise, embeddings = simulated(sizes, rng)
    quality = {"known": -noise, "random": rng.random(len(who))}
    row: dict[str, Any] = {"setting": setting, **sizes}
    watch = Watch()
    unit = np.zeros((0, DIM), np.float32)
    if setting == "ijbc":
        first, second, mated = listed(who, sizes, rng)
        watch.restart()
        unit = unit_embeddings(embeddings)
        del embeddings
        watch.lap("unit_s")
        similarity = pair_similarity(unit, first, second)
        watch.lap("similarity_s")
        pairs = Pairs(first, second, similarity, mated)
    else:
        watch.restart()
        pairs = all_pairs(embeddings, who, dtype=np.float32)
        watch.lap("similarity_s")
    row["comparisons"] = len(pairs.first)
    row["mated"] = int(pairs.mated.sum())

    values = pair_quality(quality["known"], pairs)
    for protocol in ("crfiqa", "fiqat"):
        edc(pairs.similarity, pairs.mated, values, fmr=FMR, protocol=protocol)
        watch.lap(f"edc_{protocol}_s")
    del values
    found = edc_replicates(
        pairs,
        who,
        quality,
        fmrs=(FMR,),
        protocols=("crfiqa", "fiqat"),
        replicates=replicates,
    )
    watch.lap("replicates_s")
    table = difference_table(found, reference="random")
    watch.lap("table_s")
    row |= watch.laps
    row["total_s"] = sum(watch.laps.values())
    row["peak_bytes"] = peak_rss()
    row["fnmr"] = [float(part.fnmr[0, 0, 0]) for part in found]
    row["differs"] = table["differs"].tolist()
    if len(unit):
        row |= throughput(unit, pairs, rng)
    return row


class Watch:
    """Seconds since the last look, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """Start to count now."""
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the seconds since the last look."""
        now = time.perf_counter()
        self.laps[name] = now - self._since
        self._since = now


def simulated(
    sizes: dict[str, int], rng: np.random.Generator
) -> tuple[NDArray[np.integer], NDArray[np.floating], NDArray[np.float32]]:
    """Draw who is on each image, how noisy it is, and its embedding."""
    who = np.sort(rng.integers(0, sizes["identities"], sizes["images"]))
    noise = 0.8 + 2.2 * rng.random(sizes["images"], np.float32) ** 2
    centres = rng.standard_normal((sizes["identities"], DIM), np.float32)
    embeddings = np.empty((sizes["images"], DIM), np.float32)
    for start in range(0, len(who), 2**14):
        part = slice(start, start + 2**14)
        rng.standard_normal(dtype=np.float32, out=embeddings[part])
        embeddings[part] *= noise[part, None]
        embeddings[part] += centres[who[part]]
    return who, noise, embeddings


def listed(
    who: NDArray[np.integer], sizes: dict[str, int], rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Draw comparisons, and list them by their first image."""
    start = np.searchsorted(who, np.arange(sizes["identities"] + 1))
    several = np.flatnonzero(np.diff(start)[who] > 1)
    one = rng.choice(several, sizes["mated"])
    count = np.diff(start)[who[one]]
    step = rng.integers(1, count)
    other = start[who[one]] + (one - start[who[one]] + step) % count
    first = rng.integers(0, len(who), sizes["non_mated"])
    # Somebody else: half of all images on, at the least, or at the most.
    shift = rng.integers(0, len(who) // 2, sizes["non_mated"])
    second = (first + len(who) // 4 + shift) % len(who)
    first = np.concatenate([one, first]).astype(np.int32)
    second = np.concatenate([other, second]).astype(np.int32)
    order = np.argsort(first, kind="stable")
    return first[order], second[order], (who[first] == who[second])[order]


def throughput(
    unit: NDArray[np.float32], pairs: Pairs, rng: np.random.Generator
) -> dict[str, float]:
    """Compare reading rows for similarities with a plain read, in turn."""
    order = rng.permutation(len(pairs.first))
    shuffled = pairs.first[order], pairs.second[order]
    rows = 2 * len(order) * unit.shape[1] * unit.itemsize
    calls = {
        "listed": (rows, lambda: pair_similarity(unit, *pairs[:2])),
        "shuffled": (rows, lambda: pair_similarity(unit, *shuffled)),
        "random_rows": (rows // 2, lambda: gather(unit, pairs.second)),
        "plain_read": (unit.nbytes, lambda: read(unit)),
    }
    rates: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3):
        for name, (size, call) in calls.items():
            start = time.perf_counter()
            call()
            rates[name].append(size / (time.perf_counter() - start) / 1e9)
    return {f"{name}_gb_per_s": statistics.median(each) for name, each in rates.items()}


def read(unit: NDArray[np.float32]) -> None:
    """Read every number once, in threads, as fast as a product of rows goes."""
    parts = np.array_split(unit.reshape(-1), 8 * usable_cores())
    in_threads(lambda part: np.dot(part, part), parts)


def gather(unit: NDArray[np.float32], index: NDArray[np.int32]) -> None:
    """Copy rows into the cache, in threads, and do nothing with them."""

    def work(part: NDArray[np.int32]) -> None:
        room = np.empty((128, unit.shape[1]), unit.dtype)
        for start in range(0, len(part), len(room)):
            some = part[start : start + len(room)]
            np.take(unit, some, axis=0, out=room[: len(some)], mode="clip")

    in_threads(work, np.array_split(index, 8 * usable_cores()))


def describe(row: dict[str, Any]) -> str:
    """Write one set's line."""
    text = (
        f"{row['setting']:>7}: {row['comparisons']} comparisons, similarities "
        f"{row['similarity_s']:.1f} s, EDC crfiqa {row['edc_crfiqa_s']:.1f} s, fiqat "
        f"{row['edc_fiqat_s']:.1f} s, replicates {row['replicates_s']:.1f} s, total "
        f"{row['total_s']:.1f} s, peak {row['peak_bytes'] / 1e9:.1f} GB"
    )
    if "plain_read_gb_per_s" in row:
        text += (
            f"; rows read at {row['listed_gb_per_s']:.1f} GB/s listed by image, "
            f"{row['shuffled_gb_per_s']:.1f} GB/s shuffled; random rows "
            f"{row['random_rows_gb_per_s']:.1f} GB/s, plain read "
            f"{row['plain_read_gb_per_s']:.1f} GB/s"
        )
    return text


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pick what stands in the table of all benchmarks."""
    made = []
    for row in rows:
        name = f"EDC of {row['setting']}"
        goal = SECONDS if row["setting"] == "ijbc" else None
        made += [
            ratio(f"{name}, seconds", row["total_s"], at_most=goal),
            ratio(f"{name}, peak GB", row["peak_bytes"] / 1e9, at_most=GIGABYTES),
        ]
        if "plain_read_gb_per_s" in row:
            rate = row["listed_gb_per_s"]
            for other in ("plain_read", "random_rows"):
                share = rate / row[f"{other}_gb_per_s"]
                what = f"{name}, similarities over {other.replace('_', ' ')}"
                made.append(ratio(what, share))
    return made


if __name__ == "__main__":
    main()
