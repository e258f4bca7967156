"""One measurement of `scaling.py`, in a process with peak and devices of its own.

Takes a JSON object, ``kind`` and the arguments of the function below it, and prints
another as its last line.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from common import in_turn, levels, peak_rss, random_network
from ours import our_forward, our_sweep

from prefiqs_jax.backbones import Backbone, Provenance
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, sweep

WITHOUT_FILE = Provenance("random", "0" * 64, "random", "0" * 64, "none")


def measure_step(
    network: str, batch: int, sparsities: int, repeats: int
) -> dict[str, Any]:
    """Time one batch at S sparsities, and dense forwards in turn with it."""
    made = random_network(network)
    images = made.images(batch)
    found = our_sweep(made, images, levels(sparsities), tune="never")
    forward = our_forward(made, images, by_rule=True)
    times = in_turn({"sweep": found.call, "dense": forward}, repeats)
    elapsed, dense = times["sweep"].elapsed, times["dense"].elapsed
    return {
        "sparsities": sparsities,
        "seconds": float(np.median(elapsed)),
        "cost_forwards": float(np.median(elapsed) / np.median(dense)),
        "predicted_peak_bytes": found.plan.predicted_bytes,
        "peak_rss_bytes": peak_rss(),
    }


def measure_folder(
    network: str, batch: int, sparsities: int, folder: str, out: str, devices: int
) -> dict[str, Any]:
    """Sweep a folder as `prefiqs sweep` does, images to Parquet."""
    made = random_network(network)
    found = made.architecture
    backbone = Backbone(
        network,
        made.params,
        made.apply_fn,
        found.embedding_dim,
        found.preprocessing,
        WITHOUT_FILE,
    )
    options = SweepOptions(
        batch_size=batch, tune="never", devices=devices, progress=False
    )
    mask = mask_named("global/magnitude")
    start = time.perf_counter()
    pictures = read_folder(folder)
    sweep(backbone, pictures, mask, levels(sparsities), out, options=options)
    seconds = time.perf_counter() - start
    session = json.loads((Path(out) / "run.json").read_text("utf-8"))["sessions"][-1]
    return {
        "images": len(pictures.names),
        "devices": devices,
        "devices_seen": len(jax.local_devices()),
        "seconds": seconds,
        "waited_for_pictures_s": session.get("waited_for_pictures_s"),
        "peak_rss_bytes": peak_rss(),
    }


def main() -> None:
    """Measure what the first argument says."""
    request = json.loads(sys.argv[1])
    kinds = {"step": measure_step, "folder": measure_folder}
    print(json.dumps(kinds[request.pop("kind")](**request)))


if __name__ == "__main__":
    main()
