"""How long a device waits for images: simulated ones, and the one at hand."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Generator
from typing import Any

import jax
import numpy as np
from common import random_network
from pipeline_ways import SIDE

from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.images import ImageFolder, load_batches

DEVICES = {
    "sweep of iResNet-50, S = 10, on an H200": 1_000,
    "two forward passes of iResNet-50 (score) on an H200": 10_000,
}
"""Images per second of devices that are not here: assumptions, not measurements."""


def first_of(folder: ImageFolder, count: int) -> ImageFolder:
    """Take the first images of a folder."""
    return dataclasses.replace(
        folder, names=folder.names[:count], identities=folder.identities[:count]
    )


@dataclasses.dataclass(frozen=True)
class SimulatedDevice:
    """A device that is busy for so long a batch and leaves the processor alone."""

    images_per_s: float

    def run(self, batches: Generator[Any, None, None]) -> dict[str, float]:
        """Feed it as the runner does; say what part of the time it waited."""
        started = time.perf_counter()
        batch = next(batches, None)
        first = time.perf_counter()
        busy, free = 0.0, first
        while batch is not None:
            took = len(batch) / self.images_per_s
            free = max(time.perf_counter(), free) + took
            busy += took
            batch = next(batches, None)
            time.sleep(max(0.0, free - time.perf_counter()))
        return {
            "waiting": 1 - busy / (time.perf_counter() - first),
            "first_batch_s": first - started,
        }


def simulated(folder: ImageFolder, batch: int, repeats: int) -> list[dict[str, Any]]:
    """Let simulated devices wait for the package's threads, preprocessing included."""
    rows = []
    for name, rate in DEVICES.items():
        runs = []
        for _ in range(repeats):
            with contextlib.closing(preprocessed(folder, batch)) as batches:
                runs.append(SimulatedDevice(rate).run(batches))
        waiting = statistics.median(each["waiting"] for each in runs)
        rows.append(
            {
                "folder": folder.root.name,
                "device": name,
                "assumed_images_per_s": rate,
                "waiting": waiting,
                "first_batch_s": statistics.median(r["first_batch_s"] for r in runs),
                "all": [each["waiting"] for each in runs],
            }
        )
        print(f"{folder.root.name}, {name}: waits {waiting:.1%}", flush=True)
    return rows


def preprocessed(folder: ImageFolder, batch: int) -> Generator[np.ndarray, None, None]:
    """Load batches as float32, as the runner does."""
    batches = load_batches(
        folder,
        height=SIDE,
        width=SIDE,
        batch_size=batch,
        transform=Preprocessing(),
    )
    with contextlib.closing(batches):
        for loaded in batches:
            assert loaded.images is not None
            yield loaded.images


def real(folder: ImageFolder, name: str, batch: int, count: int) -> dict[str, Any]:
    """Run a network over a folder; compare with the same passes over one batch."""
    network = random_network(name)
    forward = jax.jit(network.apply_fn, compiler_options=compiler_options())
    some = first_of(folder, count)
    kept = next(preprocessed(some, batch))
    forward(network.params, kept).block_until_ready()
    full = count // batch

    def alone() -> float:
        start = time.perf_counter()
        for _ in range(full):
            forward(network.params, kept).block_until_ready()
        return time.perf_counter() - start

    def fed() -> tuple[float, float]:
        waited = 0.0
        with contextlib.closing(preprocessed(some, batch)) as batches:
            images = next(batches)
            start = time.perf_counter()
            for _ in range(full):
                out = forward(network.params, images)
                asked = time.perf_counter()
                images = next(batches, images)
                ready = time.perf_counter()
                # A wait in which the device computes is none; this counts too much of
                # it where the network is done before the batch is here.
                if out.is_ready():
                    waited += ready - asked
                out.block_until_ready()
            return time.perf_counter() - start, waited

    runs = [(alone(), *fed()) for _ in range(3)]
    row = {
        "network": name,
        "device": jax.local_devices()[0].device_kind,
        "batch": batch,
        "images_per_s_alone": full * batch / statistics.median(r[0] for r in runs),
        "images_per_s_fed": full * batch / statistics.median(r[1] for r in runs),
        "waiting_at_most": statistics.median(r[2] / r[1] for r in runs),
        "slower_than_alone": statistics.median(r[1] / r[0] for r in runs),
    }
    print(
        f"{name} on {row['device']}: {row['images_per_s_fed']:.0f} images/s fed, "
        f"{row['images_per_s_alone']:.0f} alone; waits {row['waiting_at_most']:.1%}",
        flush=True,
    )
    return row
