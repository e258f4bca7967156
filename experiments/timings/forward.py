"""What a forward pass takes, against PyTorch in its best layout on the same device.

    python experiments/timings/forward.py
    python experiments/timings/forward.py --networks arcface_vit_t sface --repeats 20

Each network gets the same random weights in both frameworks, and must give the same
embeddings. Then both are timed in turn, so that a machine that drifts drifts for both.
A ratio is that of one turn; the median over the turns is reported with the least and
the greatest, and every time is kept. PyTorch runs eagerly in inference mode, contiguous
and channels-last, in full float32. Prints a table of ratios and writes them, with the
hardware's description, as JSON.
"""

import time
from typing import Any

import numpy as np
from common import (
    hardware,
    in_turn,
    output_path,
    parser,
    random_network,
    ranged,
    ratio,
    share_the_gpu,
    spread,
    unit,
    write,
)
from opponents import TorchSweep, torch_forward
from ours import our_forward
from twins import LAYOUTS, forward_flops, full_float32, torch_images, torch_twin

from prefiqs_jax.execution.compilation import compiler_options

NETWORKS = (
    "arcface_iresnet18",
    "arcface_iresnet34",
    "arcface_iresnet50",
    "arcface_iresnet100",
    "curricularface_ir101",
    "adaface_ir50",
    "arcface_mobilefacenet",
    "xiaoccer_mobilefacenet",
    "arcface_vit_t",
    "sface",
)
AS_FAST = ("arcface_iresnet18", "arcface_iresnet50", "arcface_iresnet100")
AS_FAST += ("arcface_vit_t", "sface")
TOLERANCE = 2e-6
HEADER = (
    f"{'network':24} {'ratio':>17} {'ours (ms)':>22} {'PyTorch (ms)':>22} "
    f"{'first call':>10} {'GFLOP/s':>8}"
)


def main() -> None:
    """Measure, print, write."""
    made = parser("Time forward passes against PyTorch on the same device.")
    made.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--repeats", type=int, default=9)
    options = made.parse_args()
    if options.quick:
        options.networks = ["xiaoccer_mobilefacenet", "sface"]
        options.batch, options.repeats = 2, 2
    share_the_gpu()
    import torch

    rows: list[dict[str, Any]] = []
    result = {
        "benchmark": "forward",
        "batch": options.batch,
        "repeats": options.repeats,
        "statistic": "medians, with the least and the greatest in brackets",
        "hardware": hardware(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "compiler_options": compiler_options(),
        "rows": rows,
    }
    out = output_path("forward", options.out)
    print(HEADER, flush=True)
    for name in options.networks:
        rows.append(compare(name, options.batch, options.repeats))
        print(describe(rows[-1]), flush=True)
        write(out, result, [figure(row) for row in rows])
    print(out)


def compare(name: str, batch: int, repeats: int) -> dict[str, Any]:
    """Time one network in both frameworks; refuse if they disagree."""
    network = random_network(name)
    images = network.images(batch)
    start = time.perf_counter()
    ours = our_forward(network, images, by_rule=True)
    ours()
    first_s = time.perf_counter() - start
    full_float32()
    sweep = TorchSweep(torch_twin(network), (), torch_images(images), "contiguous")
    theirs = {layout: torch_forward(sweep.laid_out(layout)) for layout in LAYOUTS}
    expected = unit(ours())
    difference = max(np.abs(unit(call()) - expected).max() for call in theirs.values())
    if not difference <= TOLERANCE:
        message = f"{name}: embeddings differ by {difference:.1e} from PyTorch's"
        raise SystemExit(message)
    times = in_turn({"ours": ours, **theirs}, repeats)
    took = {key: found.elapsed for key, found in times.items()}
    best = min(LAYOUTS, key=lambda layout: float(np.median(took[layout])))
    gflop = forward_flops(network) * batch / 1e9
    return {
        "network": name,
        "ratio": spread(took[best] / took["ours"]),
        "pytorch_layout": best,
        "ours_s": spread(took["ours"]),
        **{f"pytorch_{layout}_s": spread(took[layout]) for layout in LAYOUTS},
        "first_call_s": first_s,
        "gflop": gflop,
        "gflop_per_s": gflop / float(np.median(took["ours"])),
        "largest_difference": float(difference),
    }


def figure(row: dict[str, Any]) -> dict[str, Any]:
    """Pick what has a goal."""
    goal = 1.0 if row["network"] in AS_FAST else None
    what = f"{row['network']}: PyTorch over ours"
    return ratio(what, row["ratio"]["median"], at_least=goal)


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    ours, theirs = (
        ranged({k: 1e3 * found[k] for k in ("median", "low", "high")}, 0)
        for found in (row["ours_s"], row[f"pytorch_{row['pytorch_layout']}_s"])
    )
    return (
        f"{row['network']:24} {ranged(row['ratio'], 2):>17} {ours:>22} {theirs:>22} "
        f"{row['first_call_s']:8.1f} s {row['gflop_per_s']:8.0f}"
    )


if __name__ == "__main__":
    main()
