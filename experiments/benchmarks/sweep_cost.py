"""Measure what a sweep costs: in dense forwards, and against the same work in PyTorch.

    python experiments/benchmarks/sweep_cost.py
    python experiments/benchmarks/sweep_cost.py --networks arcface_iresnet100 --add

The floor at S sparsities is 3 S + 1 dense forward passes: one dense, S pruned, S
tangents of two. Beside it stands the same work in PyTorch, same weights and pictures,
timed in turn in the same run, each in the better of its layouts:

usual     one forward of the pruned copy and one ``torch.func.jvp`` a sparsity
expert    one dense pass (``torch.func.linearize``, or ``torch.func.jvp`` if its tracing
          costs more), ``vmap`` over chunks of directions, copies in inference mode
compiled  the expert's, through ``torch.compile`` where that helps

All must find our numbers to 1e-3. What is made once a run is timed apart for all: masks
and compilation here, pruned copies and compilation there. Weights and pictures are
random, neither changes the work. Each time is the shortest of its repetitions: what
else the machine does only adds. So that it adds to all alike, dense forwards are timed
as many together as the floor has, about as long as a sweep. Our own cost in forwards is
taken before PyTorch is loaded, beside which a sweep takes longer. The
JSON has images/s and the fraction of the device's peak, too: nothing that does this
work can be faster than one over that.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any, get_args

import jax
import numpy as np
from common import (
    Network,
    Times,
    device_kind,
    hardware,
    in_turn,
    levels,
    on_gpu,
    output_path,
    parser,
    peak_rss,
    random_network,
    ratio,
    seconds,
    share_the_gpu,
    write,
)
from numpy.typing import NDArray
from opponents import (
    Call,
    Opponent,
    TorchSweep,
    best_compiled,
    best_expert,
    best_usual,
    prune_copies,
    torch_forward,
)
from ours import Sweep, best_forward, our_sweep
from peaks import measured_peak_fraction, peak_fraction, sweep_flops
from twins import LAYOUTS, forward_flops, full_float32, torch_images, torch_twin

from prefiqs_jax.precision import DEFAULT_PRECISION
from prefiqs_jax.sweep.tuning import Tune

NETWORKS = (
    "arcface_iresnet18",
    "arcface_iresnet50",
    "arcface_iresnet100",
    "arcface_vit_t",
    "sface",
)
TOLERANCE = 1e-3
OVER_FLOOR = 1.05
FASTER_THAN_PYTORCH = {"cpu": 1.5, "gpu": 2.0}
GOAL_NETWORK, GOAL_SPARSITIES = "arcface_iresnet50", 10
LONG_NETWORK, LONG_IMAGES, LONG_SECONDS = "arcface_iresnet100", 10_000, 25.0


def main() -> None:
    """Measure, print, write."""
    options = read_options()
    share_the_gpu()
    # Of torch.func.linearize, about its own graphs.
    warnings.filterwarnings("ignore", message="Attempted to insert a get_attr")
    batch = options.batch or (16 if jax.default_backend() == "cpu" else 128)
    out = output_path("sweep_cost", options.out)
    rows: list[dict[str, Any]] = []
    if options.add and out.exists():
        rows = json.loads(out.read_text())["rows"]
    for name in options.networks:
        network = random_network(name)
        for count in options.sparsities:
            row = compare(network, batch, count, options)
            rows = replaced(rows, row)
            print(describe(row), flush=True)
            rows.sort(key=lambda row: (order(row["network"]), row["sparsities"]))
            result = {"benchmark": "sweep_cost", "rows": rows}
            write(out, result, [figure for row in rows for figure in ratios(row)])
    print(out)


def replaced(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Put a row in its predecessor's place; PyTorch's run stays if it is not repeated.

    What stands there of PyTorch is relative to our sweep in PyTorch's own run.
    """
    same = ("network", "sparsities", "batch")
    before = [old for old in rows if all(old[key] == row[key] for key in same)]
    for old in before:
        if "pytorch" in old and "pytorch" not in row:
            row |= {"pytorch": {"run": old["hardware"]["started"]} | old["pytorch"]}
    return [old for old in rows if old not in before] + [row]


def read_options() -> argparse.Namespace:
    """Read the command line."""
    made = parser("Measure what a sweep costs, in dense forwards and against PyTorch.")
    made.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    made.add_argument("--batch", type=int, help="default: 16 on a CPU, else 128")
    made.add_argument("--sparsities", type=int, nargs="+", default=[10], metavar="S")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--tune", choices=get_args(Tune), default="always")
    made.add_argument(
        "--forwards", type=int, help="dense forwards timed together; default: 3 S + 1"
    )
    made.add_argument("--no-torch", action="store_true")
    made.add_argument("--no-compile", action="store_true", help="no torch.compile")
    made.add_argument(
        "--add", action="store_true", help="keep the file's other rows, and PyTorch's"
    )
    options = made.parse_args()
    if options.quick:
        options.networks, options.batch = ["xiaoccer_mobilefacenet"], 2
        options.no_compile, options.tune = True, "never"
        options.sparsities, options.repeats, options.forwards = [2], 1, 2
    return options


def compare(
    network: Network, batch: int, count: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure one network at S sparsities; refuse if the frameworks disagree."""
    images = network.images(batch)
    sweep = our_sweep(network, images, levels(count), tune=options.tune)
    found = sweep.call().compared
    forward, slices = best_forward(network, images, sweep.plan.strategy.slice_size)
    forwards = options.forwards or 3 * count + 1
    ours: dict[str, Any] = {"dense": repeated(forward, forwards), "sweep": sweep.call}
    alone = in_turn(ours, options.repeats, warm_up=False)
    about: dict[str, Any] = {}
    if not options.no_torch:
        about, opponents, torch_dense = torch_side(network, images, count, options)
        torch_dense()
        ours["pytorch_dense"] = repeated(torch_dense, forwards)
        answers: dict[str, NDArray] = {}
        whole = {n: keeping(o.call, n, answers) for n, o in opponents.items()}
        times = in_turn(ours | whole, options.repeats, warm_up=False)
        about["ours_beside_s"] = times["sweep"].elapsed.tolist()
        expected = np.stack([found.first_order, found.drift])
        for name, answer in answers.items():
            about[name] |= their_figures(name, times, forwards)
            about[name]["largest_difference"] = difference(
                f"{network.name}: PyTorch ({name})", answer, expected
            )
    row: dict[str, Any] = {
        "network": network.name,
        "sparsities": count,
        "batch": batch,
        "repeats": options.repeats,
        "floor_forwards": 3 * count + 1,
        "hardware": hardware(),
        "ours": our_figures(sweep, slices, alone, count, forwards),
    }
    row |= rates(network, batch, count, row["ours"]["sweep_s"], options)
    return row | ({"pytorch": about} if about else {})


def torch_side(
    network: Network, images: NDArray, count: int, options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Opponent], Callable[[], NDArray]]:
    """Prepare PyTorch's three sweeps and its dense forward, each in its best settings.

    Returns
    -------
    about : dict
        What is known of PyTorch and, by name, of each sweep.
    opponents : dict
        Name to the sweep.
    dense : callable
        The forward pass.
    """
    import torch

    full_float32()
    module = torch_twin(network)
    copies: list[Any] = []
    prune_s = seconds(lambda: copies.extend(prune_copies(module, levels(count))))
    sweep = TorchSweep(module, tuple(copies), torch_images(images), "contiguous")
    by_layout = {layout: sweep.laid_out(layout) for layout in LAYOUTS}
    dense = {layout: torch_forward(laid) for layout, laid in by_layout.items()}
    tried = in_turn(dense, 3)
    layout = min(LAYOUTS, key=lambda name: tried[name].elapsed.min())
    about: dict[str, Any] = {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "prune_s": prune_s,
        "dense_layout": layout,
    }
    opponents: dict[str, Opponent] = {}

    def prepare(name: str, choose: Callable[[], Opponent | str]) -> None:
        start = time.perf_counter()
        found = choose()
        print(f"  {name}: settings in {time.perf_counter() - start:.0f} s", flush=True)
        if isinstance(found, str):
            about[name] = {"left_out": found}
        else:
            about[name], opponents[name] = dict(found.settings), found

    prepare("usual", lambda: best_usual(by_layout))
    prepare("expert", lambda: best_expert(by_layout))
    if not options.no_compile:
        chosen = opponents["expert"].settings
        laid, chunk = by_layout[chosen["layout"]], chosen["chunk"]
        prepare("compiled", lambda: best_compiled(laid, chunk))
    return about, opponents, dense[layout]


def keeping(call: Call, name: str, answers: dict[str, NDArray]) -> Callable[[], None]:
    """Make a call that leaves its answer, so that what is timed is what is checked."""

    def kept() -> None:
        answers[name] = call()

    return kept


def difference(who: str, answer: NDArray, expected: NDArray) -> float:
    """Compare an opponent's numbers with ours, relative to ours; refuse above 1e-3."""
    found = float(np.max(np.abs(answer / expected - 1)))
    if not found <= TOLERANCE:
        message = f"{who} differs from ours by {found:.1e}"
        raise SystemExit(message)
    return found


def repeated(call: Any, count: int) -> Any:
    """Make one call of several."""

    def calls() -> None:
        for _ in range(count):
            call()

    return calls


def our_figures(
    sweep: Sweep,
    slices: int | None,
    times: dict[str, Times],
    count: int,
    forwards: int,
) -> dict[str, Any]:
    """Relate our sweep to our dense forward."""
    dense, whole = times["dense"].elapsed / forwards, times["sweep"].elapsed
    cost = float(whole.min() / dense.min())
    return {
        "cost_forwards": cost,
        "over_floor": cost / (3 * count + 1),
        "dense_s": float(dense.min()),
        "dense_slices": slices,
        "sweep_s": float(whole.min()),
        "all_s": {"dense": dense.tolist(), "sweep": whole.tolist()},
        "plan": sweep.plan.describe(),
        "masks_s": sweep.masks_s,
        "compile_s": sweep.compile_s,
        "peak_rss_bytes": peak_rss(),
    }


def their_figures(name: str, times: dict[str, Times], forwards: int) -> dict[str, Any]:
    """Relate one of PyTorch's sweeps to its dense forward and to our sweep."""
    dense, whole = times["pytorch_dense"].elapsed / forwards, times[name].elapsed
    ours = times["dense"].elapsed / forwards
    return {
        "cost_forwards": float(whole.min() / dense.min()),
        "dense_s": float(dense.min()),
        "sweep_s": float(whole.min()),
        "time_over_ours": float(whole.min() / times["sweep"].elapsed.min()),
        "dense_over_ours": float(dense.min() / ours.min()),
        "all_s": {"dense": dense.tolist(), "sweep": whole.tolist()},
    }


def rates(
    network: Network,
    batch: int,
    count: int,
    sweep_s: float,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Give images and model operations a second, and the fraction of a known peak."""
    found = {"images_per_s": batch / sweep_s}
    if options.no_torch:  # it is PyTorch that counts
        return found
    rate = sweep_flops(forward_flops(network), count) * batch / sweep_s
    found["model_flops_per_s"] = rate
    if not on_gpu():
        return found | measured_peak_fraction(rate)
    return found | peak_fraction(rate, device_kind(), DEFAULT_PRECISION)


def order(network: str) -> tuple[int, str]:
    """Sort the networks of the issue as listed, before any other."""
    known = NETWORKS.index(network) if network in NETWORKS else len(NETWORKS)
    return known, network


def fastest(row: dict[str, Any]) -> tuple[str, float] | None:
    """Name PyTorch's fastest sweep and its time over ours."""
    found = {
        name: about["time_over_ours"]
        for name, about in row.get("pytorch", {}).items()
        if isinstance(about, dict) and "time_over_ours" in about
    }
    return min(found.items(), key=lambda item: item[1]) if found else None


def ratios(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Pick the figures that have goals."""
    what, count = f"{row['network']}, S = {row['sparsities']}", row["sparsities"]
    goal = OVER_FLOOR if count == GOAL_SPARSITIES else None
    figures = [
        ratio(f"{what}: cost over floor", row["ours"]["over_floor"], at_most=goal)
    ]
    if (best := fastest(row)) is not None:
        wanted = (row["network"], count) == (GOAL_NETWORK, GOAL_SPARSITIES)
        least = FASTER_THAN_PYTORCH["gpu" if on_gpu() else "cpu"] if wanted else None
        figures.append(
            ratio(f"{what}: PyTorch ({best[0]}) over ours", best[1], at_least=least)
        )
    if "peak_fraction" in row:
        figures.append(ratio(f"{what}: fraction of peak", row["peak_fraction"]))
    if on_gpu() and (row["network"], count) == (LONG_NETWORK, GOAL_SPARSITIES):
        took = LONG_IMAGES / row["images_per_s"]
        figures.append(
            ratio(f"{what}: seconds for 10,000 images", took, at_most=LONG_SECONDS)
        )
    return figures


def describe(row: dict[str, Any]) -> str:
    """Tell one row in lines."""
    ours = row["ours"]
    lines = [
        f"{row['network']}, S = {row['sparsities']}: {ours['cost_forwards']:.1f} "
        f"forwards, floor {row['floor_forwards']}, {ours['over_floor']:.2f} × floor "
        f"({ours['sweep_s']:.2f} s; dense forward {ours['dense_s']:.3f} s; "
        f"{row['images_per_s']:.2f} images/s; "
        f"{ours['peak_rss_bytes'] / 1e9:.2f} GB resident)"
    ]
    for name in ("usual", "expert", "compiled"):
        about = row.get("pytorch", {}).get(name, {})
        if "left_out" in about:
            lines.append(f"  PyTorch, {name}: left out, {about['left_out']}")
        elif about:
            lines.append(
                f"  PyTorch, {name}: {about['sweep_s']:.2f} s = "
                f"{about['cost_forwards']:.1f} of its forwards, "
                f"{about['time_over_ours']:.2f} × our time ({about['layout']})"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
