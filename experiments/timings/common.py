"""What the benchmarks share: networks of random weights, fair timing, their JSON.

Every script takes ``--quick`` (settings that only show that it runs) and ``--out``, a
file or a folder, and writes one JSON object: ``benchmark``, ``hardware``, its rows, and
``ratios``, the few figures that ``prefiqs bench`` prints (:func:`ratio`).
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
from numpy.typing import NDArray

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.functional import bind
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION
from prefiqs_jax.files import clear_beside, write_text
from prefiqs_jax.results.provenance import session_record
from prefiqs_jax.types import ApplyFn, Params

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Network:
    """A published network with random weights: they do not change the work."""

    name: str
    architecture: Architecture
    tensors: dict[str, NDArray]
    params: Params
    apply_fn: ApplyFn

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of its input."""
        pixels = self.architecture.preprocessing
        return (pixels.height, pixels.width, 3)

    def images(self, count: int) -> NDArray[np.float32]:
        """Draw preprocessed images, shape (count, height, width, 3)."""
        rng = np.random.default_rng(1)
        return rng.standard_normal((count, *self.image_shape), np.float32)


def random_network(name: str) -> Network:
    """Build a network of the zoo with :func:`random_tensors`."""
    found = architecture(name)
    tensors = random_tensors(found.blueprint.shapes)
    params, apply_fn = bind(found.blueprint, tensors)
    return Network(name, found, tensors, params, apply_fn)


def random_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray]:
    """Draw weights of a size that keeps activations near one."""
    rng = np.random.default_rng(0)

    def draw(path: str, shape: tuple[int, ...]) -> NDArray:
        leaf = path.rpartition("/")[2]
        if leaf == "kernel":
            scale = np.float32(np.sqrt(1 / np.prod(shape[:-1])))
            return rng.standard_normal(shape, np.float32) * scale
        if leaf in ("scale", "var"):
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        return rng.uniform(-0.2, 0.2, shape).astype(np.float32)

    return {path: draw(path, shape) for path, shape in shapes.items()}


@dataclasses.dataclass(frozen=True)
class Times:
    """What the repetitions of one call took, in seconds, in order."""

    elapsed: NDArray[np.float64]
    processor: NDArray[np.float64]
    """Over all threads: what is left of a comparison on a machine with other work."""


def in_turn(
    calls: dict[str, Callable[[], Any]], repeats: int, *, warm_up: bool = True
) -> dict[str, Times]:
    """Time calls in turn, so that a machine that drifts drifts for all of them.

    Parameters
    ----------
    calls
        Each runs its work to the end.
    repeats
        How often each is timed.
    warm_up
        Run each once before, untimed.
    """
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for repeat in range(-int(warm_up), repeats):
        for name, call in calls.items():
            start, processor = time.perf_counter(), time.process_time()
            call()
            took = time.perf_counter() - start, time.process_time() - processor
            if repeat >= 0:
                spent[name].append(took)
    return {
        name: Times(*np.array(kept, np.float64).reshape(-1, 2).T)
        for name, kept in spent.items()
    }


def spread(values: Sequence[float] | NDArray) -> dict[str, Any]:
    """Summarise repetitions: median, least, greatest, and all of them in order."""
    every = [float(value) for value in values]
    median = float(np.median(every))
    return {"median": median, "low": min(every), "high": max(every), "all": every}


def ranged(found: dict[str, Any], digits: int = 1) -> str:
    """Write what :func:`spread` gives; no range of what was taken once.

    >>> ranged(spread([3.0, 1.0, 2.0])), ranged(spread([1.25]), 2)
    ('2.0 [1.0, 3.0]', '1.25')
    """
    median, low, high = (f"{found[k]:,.{digits}f}" for k in ("median", "low", "high"))
    return median if found["low"] == found["high"] else f"{median} [{low}, {high}]"


def seconds(call: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def levels(count: int) -> list[float]:
    """Spread ``count`` sparsities evenly inside (0, 1)."""
    return [(index + 1) / (count + 1) for index in range(count)]


def unit(raw: NDArray) -> NDArray[np.float64]:
    """Normalise rows, in double precision."""
    raw = np.asarray(raw, np.float64)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def hardware() -> dict[str, Any]:
    """Describe the machine."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2] for line in lines if "model name" in line]
        model = names[0].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": os.getloadavg(),
        **session_record(None, DEFAULT_PRECISION),
    }


def device_kind() -> str:
    """Name the device as JAX does, such as ``cpu`` or ``NVIDIA H200``."""
    return jax.local_devices()[0].device_kind


def on_gpu() -> bool:
    """Say whether JAX computes on a GPU; PyTorch then does, too."""
    return jax.default_backend() == "gpu"


def share_the_gpu() -> None:
    """Keep JAX from reserving the memory that PyTorch needs beside it."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def output_path(benchmark: str, out: str | os.PathLike[str] | None = None) -> Path:
    """Say where a result goes: the file ``out``, or named by the device in a folder.

    The folder is ``out`` if there is one of this name, by default that of the scripts.
    """
    kind = device_kind().replace(" ", "_").lower()
    if out is None or Path(out).is_dir():
        out = Path(out or HERE) / f"{benchmark}_{kind}.json"
    out = Path(out)
    if out.is_file() and '"ratios"' not in out.read_text(errors="replace"):
        message = f"{out} is no result of a benchmark; give another --out"
        raise InputError(message)
    clear_beside(out)
    return out


def parser(description: str) -> argparse.ArgumentParser:
    """Start a command line with what all benchmarks take."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help="only see that it runs")
    made.add_argument(
        "--out", type=Path, metavar="FILE", help="JSON file, or folder of it"
    )
    return made


def ratio(
    what: str,
    value: float,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> dict[str, Any]:
    """Make one figure for the table of ``prefiqs bench``, with its goal if any."""
    goal = {"at_most": at_most, "at_least": at_least}
    return {
        "what": what,
        "value": float(value),
        **{key: limit for key, limit in goal.items() if limit is not None},
    }


def write(
    out: Path, result: dict[str, Any], ratios: Sequence[dict[str, Any]] = ()
) -> None:
    """Write a result, complete or as far as it is."""
    text = json.dumps(result | {"ratios": list(ratios)}, indent=1)
    write_text(out, text + "\n")
