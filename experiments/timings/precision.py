"""What a lower precision gains in time, and what it costs in the numbers of a sweep.

    python experiments/timings/precision.py

Each of `prefiqs sweep --precision highest|high|fast` measures the same images; its
errors are relative to ``highest``, at every sparsity. The network is a trained one,
SFace on faces of LFW, where both lie beside the repository (``../shared``); otherwise
it has random weights and images, and the JSON says so.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    HERE,
    Network,
    device_kind,
    hardware,
    in_turn,
    output_path,
    parser,
    random_network,
    ratio,
    share_the_gpu,
    write,
)
from numpy.typing import NDArray
from ours import our_sweep

from prefiqs_jax import load_backbone
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, MEANING, PRECISIONS
from prefiqs_jax.images import load_batches, read_folder
from prefiqs_jax.sweep.engine import Measured

SHARED = HERE.parents[1].parent / "shared"
WEIGHTS = SHARED / "weights" / "face_recognition_sface_2021dec_int8bq.onnx"
FACES = SHARED / "faces" / "lfw100"
SPARSITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
QUANTITIES = ("first_order", "drift")


def main() -> None:
    """Measure, print, write."""
    made = parser("Measure what a lower precision gains and costs.")
    made.add_argument("--weights", type=Path, default=WEIGHTS, help="of SFace")
    made.add_argument("--faces", type=Path, default=FACES, help="folder of faces")
    made.add_argument("--batch", type=int, default=32)
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--sparsities", type=float, nargs="+", default=list(SPARSITIES))
    options = made.parse_args()
    if options.quick:
        options.batch, options.repeats, options.sparsities = 2, 1, [0.1, 0.4]
    share_the_gpu()
    network, images, origin = network_and_images(options)
    sweeps = {
        name: our_sweep(network, images, options.sparsities, precision=name)
        for name in PRECISIONS
    }
    found = {name: sweep.call() for name, sweep in sweeps.items()}
    times = in_turn({n: sweep.call for n, sweep in sweeps.items()}, options.repeats)
    seconds = {name: float(np.median(spent.elapsed)) for name, spent in times.items()}
    exact = found[DEFAULT_PRECISION]
    rows = [
        {
            "precision": name,
            "meaning": MEANING[name],
            "seconds": seconds[name],
            "time_over_highest": seconds[name] / seconds[DEFAULT_PRECISION],
            "plan": sweeps[name].plan.describe(),
            "errors": errors(found[name], exact, options.sparsities),
        }
        for name in PRECISIONS
    ]
    result = {
        "benchmark": "precision",
        "network": network.name,
        "origin": origin,
        "batch": len(images),
        "repeats": options.repeats,
        "device_kind": device_kind(),
        "hardware": hardware(),
        "rows": rows,
    }
    for row in rows:
        print(describe(row), flush=True)
    out = output_path("precision", options.out)
    write(out, result, [figure for row in rows for figure in ratios(row)])
    print(out)


def network_and_images(
    options: argparse.Namespace,
) -> tuple[Network, NDArray[np.float32], str]:
    """Load the trained network and its faces, or draw both; say which."""
    if not (options.weights.is_file() and options.faces.is_dir()):
        network = random_network("sface")
        return network, network.images(options.batch), "random weights and images"
    backbone = load_backbone("sface", options.weights)
    pixels = backbone.preprocessing
    batches = load_batches(
        read_folder(options.faces),
        height=pixels.height,
        width=pixels.width,
        batch_size=options.batch,
        batches=[0],
    )
    (batch,) = batches
    network = Network(
        backbone.name,
        architecture(backbone.name),
        {},
        backbone.params,
        backbone.apply_fn,
    )
    origin = f"trained weights ({options.weights.name}), faces of {options.faces.name}"
    return network, backbone.preprocess(batch.pixels), origin


def errors(
    found: Measured, exact: Measured, sparsities: list[float]
) -> list[dict[str, float]]:
    """Compare with the highest precision: median and largest over the images."""
    rows = []
    for index, sparsity in enumerate(sparsities):
        row: dict[str, float] = {"sparsity": sparsity}
        for quantity in QUANTITIES:
            wanted = getattr(exact.compared, quantity)[index]
            off = np.abs(getattr(found.compared, quantity)[index] / wanted - 1)
            row[f"{quantity}_median"] = float(np.median(off))
            row[f"{quantity}_largest"] = float(off.max())
        rows.append(row)
    return rows


def worst(row: dict[str, Any], quantity: str) -> float:
    """Find the largest error of a precision over images and sparsities."""
    return max(error[f"{quantity}_largest"] for error in row["errors"])


def ratios(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Pick the figures for the table."""
    name = row["precision"]
    if name == DEFAULT_PRECISION:
        return []
    figures = [ratio(f"{name}: time over highest", row["time_over_highest"])]
    return figures + [
        ratio(f"{name}: largest relative error of {quantity}", worst(row, quantity))
        for quantity in QUANTITIES
    ]


def describe(row: dict[str, Any]) -> str:
    """One precision in a line."""
    told = ", ".join(
        f"{quantity} off by {worst(row, quantity):.1e} at most"
        for quantity in QUANTITIES
    )
    return (
        f"{row['precision']}: {row['seconds']:.2f} s, "
        f"{row['time_over_highest']:.2f} of the time of highest; {told}"
    )


if __name__ == "__main__":
    main()
