"""Measure how fast a folder of faces is loaded, and how long the device waits for it.

    python experiments/timings/pipeline.py

Synthetic faces of 112×112 pixels are written as PNG and as JPEG (quality 95) and loaded
in batches: by the package's threads, by a pool of processes, and by grain (threads, and
processes) where it is installed. All must give the same pixels, in the same batches.
Each way runs from the page cache, in turn with the others; images/s are of a whole pass
over the folder without the start of processes.

The device is then simulated, as the runner uses it: batch k is dispatched, batch k + 1
asked for, the numbers of k fetched. It is busy for a stated time a batch and needs no
processor for it. At last a real network runs on the device that JAX has, beside the
threads that feed it.
"""

import argparse
import contextlib
import hashlib
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from common import (
    hardware,
    output_path,
    parser,
    peak_rss,
    ratio,
    write,
)
from PIL import Image
from pipeline_devices import DEVICES, first_of, real, simulated
from pipeline_ways import (
    NEEDED,
    SIDE,
    Way,
    grain_processes,
    grain_threads,
    has_grain,
    ours,
    process_pool,
)

from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.images import ImageFolder, load_batches, read_folder
from prefiqs_jax.images.decode import decode_file
from prefiqs_jax.images.opening import open_header, regular_file
from prefiqs_jax.images.synthetic import faces

FORMATS = {"png": {}, "jpg": {"quality": 95}}
RENDERED = 250
MOST_WAITING = 0.03


def write_faces(root: Path, count: int) -> dict[str, ImageFolder]:
    """Write images in each format: rendered faces, each shifted a few pixels anew."""
    keys = jax.random.split(jax.random.key(0), (2, min(count, RENDERED)))
    rendered = np.asarray(faces(keys[0], keys[1]))
    rng = np.random.default_rng(0)
    for kind in FORMATS:
        (root / kind).mkdir()
    for number in range(count):
        shift = tuple(rng.integers(-6, 7, 2))
        pixels = np.roll(rendered[number % len(rendered)], shift, (0, 1))
        for kind, options in FORMATS.items():
            path = root / kind / f"{number:06}.{kind}"
            Image.fromarray(pixels).save(path, **options)
    return {kind: read_folder(root / kind) for kind in FORMATS}


def one_picture(folder: ImageFolder) -> dict[str, float]:
    """Time the steps of one image in one thread: medians, in microseconds."""
    spent: dict[str, list[float]] = {
        step: [] for step in ("read", "header", "decode", "all")
    }

    def timed(step: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        spent[step].append(1e6 * (time.perf_counter() - start))
        return result

    for name in folder.names[:1000]:
        path = folder.root / name
        with regular_file(path, name, buffered=False) as file:
            timed("read", file.read)
            image = timed(
                "header", lambda file=file, name=name: open_header(file, name)
            )
            timed("decode", image.load)
        timed("all", lambda path=path, name=name: decode_file(path, name, NEEDED))
    medians = {f"{step}_us": statistics.median(each) for step, each in spent.items()}
    # Pillow lets other threads run while it decodes, and nowhere else for long.
    locked = medians["all_us"] - medians["decode_us"]
    return medians | {"locked_us": locked, "most_threads_could_do": 1e6 / locked}


def digest(batches: Generator[np.ndarray, None, None]) -> str:
    """Digest all pixels, in order, however they are batched."""
    sha256 = hashlib.sha256()
    for pixels in batches:
        sha256.update(pixels.tobytes())
    return sha256.hexdigest()


def ways(
    stack: contextlib.ExitStack, counts: list[int]
) -> tuple[dict[str, Way], dict[str, str]]:
    """Make every way to load that can run here, and reasons for those that cannot."""
    made: dict[str, Way] = {f"threads, {n}": ours(n) for n in counts}
    made["threads, default"] = ours(None)
    left_out: dict[str, str] = {}
    for n in counts[:2]:
        made[f"process pool, {n}"] = stack.enter_context(process_pool(n))
    if has_grain():
        made |= {f"grain threads, {n}": grain_threads(n) for n in counts}
        made |= {f"grain processes, {n}": grain_processes(n) for n in counts[:2]}
    else:
        left_out["grain"] = "not installed (pip install grain)"
    return made, left_out


def pass_rates(batches: Generator[np.ndarray, None, None]) -> tuple[float, float]:
    """Load a folder; images/s of the whole pass, and from the first batch on."""
    started = first = end = time.perf_counter()
    counts = []
    for pixels in batches:
        end = time.perf_counter()
        first = end if not counts else first
        counts.append(len(pixels))
    whole = sum(counts) / (end - started)
    return whole, sum(counts[1:]) / (end - first) if counts[1:] else whole


def rates(
    folder: ImageFolder, made: dict[str, Way], batch: int, repeats: int
) -> list[dict[str, Any]]:
    """Load the folder in every way, in turn; images/s of the best pass."""
    some = first_of(folder, 3 * batch + 1)
    expected = digest(next(iter(made.values()))(some, batch))
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for repeat in range(repeats):
        for name, way in made.items():
            if not repeat and digest(way(some, batch)) != expected:
                message = f"{name} gives other pixels"
                raise AssertionError(message)
            spent[name].append(pass_rates(way(folder, batch)))
    rows = []
    for name, measured in spent.items():
        # Other work on the machine only ever slows a pass down.
        whole, steady = np.max(np.array(measured), axis=0)
        # Processes of grain start at the first batch.
        rate = steady if "grain processes" in name else whole
        rows.append(
            {
                "folder": folder.root.name,
                "way": name,
                "images_per_s": rate,
                "images_per_s_with_start": whole,
                "images_per_s_after_first_batch": steady,
                "all": [list(each) for each in measured],
            }
        )
        print(f"{folder.root.name}, {name}: {rate:.0f} images/s", flush=True)
    return rows


def memory(folder: ImageFolder, batch: int) -> list[dict[str, Any]]:
    """Trace the loader's peak over more and more batches of the folder."""
    whole = len(folder.names) // batch
    rows = []
    for batches in sorted({max(1, whole // 4), max(1, whole // 2), max(1, whole)}):
        tracemalloc.start()
        loaded = load_batches(
            folder,
            height=SIDE,
            width=SIDE,
            batch_size=batch,
            batches=range(batches),
            transform=Preprocessing(),
        )
        for _ in loaded:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append({"images": batches * batch, "peak_bytes": peak})
        print(f"{batches * batch} images: {peak / 1e6:.0f} MB at the peak", flush=True)
    return rows


def measure(options: argparse.Namespace, root: Path, out: Path) -> None:
    """Measure everything on images below a folder; write as far as it is."""
    folders = write_faces(root, options.images)
    result: dict[str, Any] = {
        "benchmark": "pipeline",
        "images": options.images,
        "batch": options.batch,
        "repeats": options.repeats,
        "statistic": "best pass of each way, median of the waiting",
        "hardware": hardware(),
        "bytes_per_image": {
            kind: sum((folder.root / n).stat().st_size for n in folder.names)
            / len(folder.names)
            for kind, folder in folders.items()
        },
        "one_picture": {kind: one_picture(each) for kind, each in folders.items()},
    }
    result["memory"] = memory(folders["png"], options.batch)
    result["simulated_devices"] = [
        row
        for folder in folders.values()
        for row in simulated(folder, options.batch, options.repeats)
    ]
    result["real"] = real(
        folders["png"], options.network, options.network_batch, options.real_images
    )
    result["peak_rss_bytes"] = peak_rss()
    result["rates"] = []
    with contextlib.ExitStack() as stack:
        made, result["left_out"] = ways(stack, options.workers)
        for folder in folders.values():
            result["rates"] += rates(folder, made, options.batch, options.repeats)
            write(out, result, ratios(result))


def ratios(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Choose what the table of benchmarks prints."""
    sweep = max(
        row["waiting"]
        for row in result["simulated_devices"]
        if row["assumed_images_per_s"] == min(DEVICES.values())
    )
    chosen = [
        ratio(
            "device waits for images, iResNet-50 sweep at 1,000 images/s (assumed)",
            sweep,
            at_most=MOST_WAITING,
        )
    ]
    for kind in FORMATS:
        rate = {
            r["way"]: r["images_per_s"] for r in result["rates"] if r["folder"] == kind
        }
        others = {w: r for w, r in rate.items() if w.startswith("grain")}
        if others:
            best = max(others, key=lambda way: others[way])
            what = f"loading {kind}: our threads over the best of grain ({best})"
            chosen.append(ratio(what, rate["threads, default"] / others[best]))
    return chosen


def main() -> None:
    """Measure, print, write."""
    made = parser("Measure how fast faces are loaded, and how long the device waits.")
    made.add_argument("--images", type=int, default=2000)
    made.add_argument("--batch", type=int, default=256)
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    made.add_argument("--network", default="sface", help="runs on the device at hand")
    made.add_argument("--network-batch", type=int, default=32)
    made.add_argument("--real-images", type=int, default=320)
    options = made.parse_args()
    if options.quick:
        options.images, options.batch, options.repeats = 64, 16, 1
        options.workers, options.real_images, options.network_batch = [1, 2], 16, 8
    out = output_path("pipeline", options.out)
    with tempfile.TemporaryDirectory() as root:
        measure(options, Path(root), out)
    print(out)


if __name__ == "__main__":
    main()
