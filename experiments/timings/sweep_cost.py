"""Measure what a sweep costs: in dense forwards, and against the same work in PyTorch.

    python experiments/timings/sweep_cost.py
    python experiments/timings/sweep_cost.py --networks arcface_iresnet100 --add

The floor at S sparsities is 3 S + 1 dense forward passes: one dense, S pruned, S
tangents of two. Beside it stands the same work in PyTorch, same weights and images,
each in the better of its layouts:

usual     one forward of the pruned copy and one ``torch.func.jvp`` a sparsity
fastest   the faster of an expert's, which has one dense pass (``torch.func.linearize``,
          or ``torch.func.jvp`` if its tracing costs more), ``vmap`` over chunks of
          directions and copies in inference mode, and the same through
          ``torch.compile`` where that helps

All must find our numbers to 1e-3. Dense forwards and sweeps of both frameworks are
timed in turn in one run: first each once, then each again. A ratio is that of one turn;
what is reported is the median over the turns with the least and the greatest, and every
time is kept. What is made once a run is timed apart for all: masks and compilation
here, pruned copies and compilation there. Weights and images are random, neither
changes the work. The JSON has images/s and the fraction of the device's peak, too:
nothing that does this work can be faster than one over that.
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
    device_kind,
    hardware,
    in_turn,
    levels,
    on_gpu,
    output_path,
    parser,
    peak_rss,
    random_network,
    ranged,
    ratio,
    seconds,
    share_the_gpu,
    spread,
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
from ours import best_forward, our_sweep
from peaks import measured_peak_fraction, peak_fraction, sweep_flops
from twins import LAYOUTS, forward_flops, full_float32, torch_images, torch_twin

from prefiqs_jax.execution.precision import DEFAULT_PRECISION
from prefiqs_jax.sweep.tuning import Tune

NETWORKS = (
    "arcface_iresnet18",
    "arcface_iresnet50",
    "arcface_iresnet100",
    "arcface_vit_t",
    "sface",
)
WITHOUT_OPPONENT = {
    "arcface_iresnet100": "PyTorch's numbers differ from ours by up to 1.6e-3: a first "
    "order jumps where a PReLU's input is zero to within rounding"
}
TOLERANCE = 1e-3
LEAST_REPEATS = 5
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
    batch = options.batch or (8 if jax.default_backend() == "cpu" else 128)
    out = output_path("sweep_cost", options.out)
    rows: list[dict[str, Any]] = []
    if options.add and out.exists():
        rows = json.loads(out.read_text())["rows"]
    for name in options.networks:
        network = random_network(name)
        for count in options.sparsities:
            row = compare(network, batch, count, options)
            same = ("network", "sparsities", "batch")
            rows = [old for old in rows if any(old[key] != row[key] for key in same)]
            rows.append(row)
            print(describe(row), flush=True)
            rows.sort(key=lambda row: (order(row["network"]), row["sparsities"]))
            result = {"benchmark": "sweep_cost", "rows": rows}
            write(out, result, [figure for row in rows for figure in ratios(row)])
    print(out)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    made = parser("Measure what a sweep costs, in dense forwards and against PyTorch.")
    made.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    made.add_argument("--batch", type=int, help="default: 8 on a CPU, else 128")
    made.add_argument("--sparsities", type=int, nargs="+", default=[10], metavar="S")
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--tune", choices=get_args(Tune), default="always")
    made.add_argument(
        "--forwards", type=int, default=5, help="dense forwards timed together"
    )
    made.add_argument("--no-torch", action="store_true")
    made.add_argument("--no-compile", action="store_true", help="no torch.compile")
    made.add_argument("--add", action="store_true", help="keep the file's other rows")
    options = made.parse_args()
    if options.repeats < LEAST_REPEATS and not options.quick:
        made.error(f"--repeats {options.repeats}: {LEAST_REPEATS} are the least")
    if options.quick:
        options.networks, options.batch = ["xiaoccer_mobilefacenet"], 2
        options.no_compile, options.tune = True, "never"
        options.sparsities, options.repeats, options.forwards = [2], 2, 1
    return options


def compare(
    network: Network, batch: int, count: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure one network at S sparsities."""
    images = network.images(batch)
    sweep = our_sweep(network, images, levels(count), tune=options.tune)
    found = sweep.call().compared
    forward, way = best_forward(network, images, sweep.plan.strategy.slice_size)
    calls: dict[str, Any] = {
        "dense": repeated(forward, options.forwards),
        "sweep": sweep.call,
    }
    about: dict[str, Any] = {}
    opponents: dict[str, Opponent] = {}
    if network.name in WITHOUT_OPPONENT:
        about = {"left_out": WITHOUT_OPPONENT[network.name]}
    elif not options.no_torch:
        expected = np.stack([found.first_order, found.drift])
        about, opponents, dense = torch_side(network, images, expected, options)
        calls["pytorch_dense"] = repeated(dense, options.forwards)
        calls |= {name: opponent.call for name, opponent in opponents.items()}
    times = in_turn(calls, options.repeats, warm_up=False)
    took = {name: found.elapsed for name, found in times.items()}
    for name in {"dense", "pytorch_dense"} & took.keys():
        took[name] = took[name] / options.forwards
    cost = took["sweep"] / took["dense"]
    row: dict[str, Any] = {
        "network": network.name,
        "sparsities": count,
        "batch": batch,
        "repeats": options.repeats,
        "forwards": options.forwards,
        "floor_forwards": 3 * count + 1,
        "hardware": hardware(),
        "ours": {
            "cost_forwards": spread(cost),
            "over_floor": spread(cost / (3 * count + 1)),
            "dense_s": spread(took["dense"]),
            "dense_way": way,
            "sweep_s": spread(took["sweep"]),
            "plan": sweep.plan.describe(),
            "masks_s": sweep.masks_s,
            "compile_s": sweep.compile_s,
            "peak_rss_bytes": peak_rss(),
        },
    }
    for name in opponents:
        about[name] |= {
            "cost_forwards": spread(took[name] / took["pytorch_dense"]),
            "sweep_s": spread(took[name]),
            "time_over_ours": spread(took[name] / took["sweep"]),
        }
    if opponents:
        about["dense_s"] = spread(took["pytorch_dense"])
        about["dense_over_ours"] = spread(took["pytorch_dense"] / took["dense"])
    row |= rates(network, batch, count, row["ours"]["sweep_s"]["median"], options)
    return row | ({"pytorch": about} if about else {})


def torch_side(
    network: Network, images: NDArray, expected: NDArray, options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Opponent], Callable[[], NDArray]]:
    """Prepare PyTorch's two sweeps and its dense forward, each in its best settings.

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
    count = expected.shape[1]
    prune_s = seconds(lambda: copies.extend(prune_copies(module, levels(count))))
    sweep = TorchSweep(module, tuple(copies), torch_images(images), "contiguous")
    by_layout = {layout: sweep.laid_out(layout) for layout in LAYOUTS}
    dense = {layout: torch_forward(laid) for layout, laid in by_layout.items()}
    tried = in_turn(dense, 3)
    layout = min(LAYOUTS, key=lambda name: float(np.median(tried[name].elapsed)))
    about: dict[str, Any] = {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "prune_s": prune_s,
        "dense_layout": layout,
    }
    ways: dict[str, Callable[[], Opponent | str]] = {
        "usual": lambda: best_usual(by_layout),
        "expert": lambda: best_expert(by_layout),
    }
    if not options.no_compile:
        ways["compiled"] = lambda: best_compiled(
            by_layout[opponents["expert"].settings["layout"]],
            opponents["expert"].settings["chunk"],
        )
    opponents: dict[str, Opponent] = {}
    whole_s: dict[str, float] = {}
    for name, choose in ways.items():
        start = time.perf_counter()
        found = choose()
        print(f"  {name}: settings in {time.perf_counter() - start:.0f} s", flush=True)
        if isinstance(found, str):
            about[name] = {"left_out": found}
            continue
        answers: list[NDArray] = []
        whole_s[name] = seconds(keeping(found.call, answers))
        differs = difference(f"{network.name}: PyTorch ({name})", answers[0], expected)
        about[name] = {**found.settings, "largest_difference": differs}
        opponents[name] = found
    fastest = min(whole_s.keys() - {"usual"}, key=whole_s.__getitem__)
    about["fastest"] = {"name": fastest, **about[fastest]}
    chosen = {"usual": opponents["usual"], "fastest": opponents[fastest]}
    about["tried_whole_s"] = whole_s
    return about, chosen, dense[layout]


def keeping(call: Call, answers: list[NDArray]) -> Callable[[], None]:
    """Make a call that leaves its answer."""
    return lambda: answers.append(call())


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


def ratios(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Pick the figures that have goals."""
    what, count = f"{row['network']}, S = {row['sparsities']}", row["sparsities"]
    goal = OVER_FLOOR if count == GOAL_SPARSITIES else None
    figures = [
        ratio(
            f"{what}: cost over floor",
            row["ours"]["over_floor"]["median"],
            at_most=goal,
        )
    ]
    if (best := row.get("pytorch", {}).get("fastest")) is not None:
        wanted = (row["network"], count) == (GOAL_NETWORK, GOAL_SPARSITIES)
        least = FASTER_THAN_PYTORCH["gpu" if on_gpu() else "cpu"] if wanted else None
        figures.append(
            ratio(
                f"{what}: PyTorch ({best['name']}) over ours",
                best["time_over_ours"]["median"],
                at_least=least,
            )
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
    """Tell one row in lines: medians, and in brackets the range."""
    ours = row["ours"]
    lines = [
        f"{row['network']}, S = {row['sparsities']}: {ranged(ours['cost_forwards'])} "
        f"forwards, floor {row['floor_forwards']}, {ranged(ours['over_floor'], 2)} × "
        f"floor ({ranged(ours['sweep_s'], 2)} s; dense forward "
        f"{ranged(ours['dense_s'], 3)} s, {ours['dense_way']}; "
        f"{row['images_per_s']:.2f} images/s; "
        f"{ours['peak_rss_bytes'] / 1e9:.2f} GB resident)"
    ]
    for name in ("usual", "fastest"):
        about = row.get("pytorch", {}).get(name)
        if about:
            lines.append(
                f"  PyTorch, {about.get('name', name)}: {ranged(about['sweep_s'], 2)} "
                f"s = {ranged(about['cost_forwards'])} of its forwards, "
                f"{ranged(about['time_over_ours'], 2)} × our time ({about['layout']})"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
