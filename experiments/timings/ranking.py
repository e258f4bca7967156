"""What it takes to rank the weights of a network and to make all masks of a sweep.

    python experiments/timings/ranking.py
    python experiments/timings/ranking.py --weights 10000000 --sparsities 100

The tree has the shapes of a published network, by default all 65 million weights of
iResNet-100, and random normal values. Every allocation cuts magnitudes, and every score
is cut by one global ranking; what scores ask about the network (input norms, gradients)
is at hand, for passes over images are no ranking. A part is timed alone: the score, the
ranking of given scores, and the packing as what the whole takes beyond the two. In turn
with them run one sort of the same scores and one copy of them, what any reading of the
memory needs. Prints a line for each and writes them, with the hardware's description,
as JSON.
"""

import argparse
import dataclasses
import statistics
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from common import (
    hardware,
    in_turn,
    levels,
    output_path,
    parser,
    random_tensors,
    ratio,
    write,
)
from numpy.typing import NDArray

from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.masks import (
    ALLOCATIONS,
    SCORES,
    Context,
    budgets,
    globally,
    magnitude,
)
from prefiqs_jax.masks.allocation import Allocation, Leaf, RankedMask, context_use
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.trees import is_prunable

SECONDS = 8.0  # for 65 million weights and ten masks, on two cores
COPIES_OF_WEIGHTS = 3.0
_LIGHT = ("global", "layerwise")
"""Allocations whose memory has a goal: they are what large networks are ranked by."""

Tensors = dict[str, NDArray[np.float32]]


class AtHand(Context):
    """A context whose quantities are known already, in place of passes over images."""

    def __init__(self, params: Tensors, values: Tensors):
        super().__init__(lambda _, images: images, np.zeros((1, 1)), params=params)
        cached = ("input_norms", "gradients", "jvp_contribution", "curvature")
        cached += ("hessian_gradient", "earlier")
        # What a cached property finds in the instance it does not compute.
        self.__dict__ |= dict.fromkeys(cached, values) | {"_moments": (values, values)}
        self._values = values
        self._places = {name: place for place, name in enumerate(params)}

    def bind(self, params: Any) -> "AtHand":  # noqa: ARG002 (it has only these)
        """Return itself."""
        return self

    def once(self, compute: Callable[[Context], Any]) -> Any:  # noqa: ARG002
        """Give what a score asks for of the whole network."""
        return self._values

    def order(self, name: str) -> int:
        """Give the place of a leaf in the network."""
        return self._places[name]

    def axes(self, name: str, last: int) -> tuple[int, int]:  # noqa: ARG002
        """Give the axes of outputs and inputs, as Flax lays them out."""
        return last, last - 1


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    params = kernels(options.backbone, options.weights)
    rng = np.random.default_rng(1)
    context = AtHand(params, {n: _drawn(rng, w.shape) for n, w in params.items()})
    count = sum(weights.size for weights in params.values())
    out = output_path("ranking", options.out)
    result: dict[str, Any] = {
        "benchmark": "ranking",
        "backbone": options.backbone,
        "weights": count,
        "leaves": len(params),
        "sparsities": options.sparsities,
        "repeats": options.repeats,
        "statistic": "median",
        "numpy": np.__version__,
        "hardware": hardware(),
        "rows": [],
    }
    print(f"{count} weights in {len(params)} leaves, {options.sparsities} sparsities")
    for name, mask in masks(params, context).items():
        result["rows"].append({"mask": name} | measure(mask, params, options))
        print(describe(result["rows"][-1]), flush=True)
        write(out, result, figures(result["rows"]))
    print(out)


def masks(params: Tensors, context: AtHand) -> dict[str, RankedMask]:
    """Make every allocation of magnitudes, and global masks of every score."""
    own = budgets({n: (0.4, 0.9)[place % 2] for place, n in enumerate(params)})
    allocations = [*ALLOCATIONS.values(), own]
    made = {f"{each.name}/magnitude": each(magnitude) for each in allocations}
    for name, entry in SCORES.items():
        made[f"global/{name}"] = globally(entry.make(0))
    return {
        name: dataclasses.replace(mask, context=context) for name, mask in made.items()
    }


def reachable(allocation: Allocation, count: int) -> list[float]:
    """Give the sparsities to rank for: all that an allocation can reach."""
    if ":" in allocation.name:
        kept, group = map(int, allocation.name.split(":"))
        return [1 - kept / group]
    most = 0.5 if allocation.name == "uniform+" else 1.0  # its ends stay whole
    return [most * level for level in levels(count)]


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.abs(rng.standard_normal(shape, np.float32))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser("Time how the masks of a sweep are made.")
    made.add_argument("--backbone", default="arcface_iresnet100")
    made.add_argument("--weights", type=int, help="default: all of the network")
    made.add_argument("--sparsities", type=int, default=10)
    made.add_argument("--repeats", type=int, default=3)
    options = made.parse_args()
    if options.quick:
        options.weights, options.repeats = 200_000, 1
    return options


def kernels(backbone: str, weights: int | None) -> Tensors:
    """Draw the prunable leaves of a network, in order, as far as the number reaches."""
    shapes = architecture(backbone).blueprint.shapes
    left = weights or sum(np.prod(shape) for shape in shapes.values())
    chosen = {}
    for name, shape in shapes.items():
        filters = min(shape[-1], left // int(np.prod(shape[:-1])))
        if is_prunable(name, np.broadcast_to(0, shape)) and filters:
            chosen[name] = (*shape[:-1], filters)
            left -= int(np.prod(chosen[name]))
    return random_tensors(chosen)


def measure(
    mask: RankedMask, params: Tensors, options: argparse.Namespace
) -> dict[str, Any]:
    """Time one mask, part by part, and see how much memory the whole takes."""
    sparsities = reachable(mask.allocation, options.sparsities)
    data = (mask.context,) if context_use(mask.score) != "none" else ()

    def score() -> list[NDArray]:
        return [np.asarray(mask.score(n, w, *data)) for n, w in params.items()]

    def pack() -> None:
        pack_masks(mask, params, sparsities)

    extra = memory_of(pack)
    leaves = [
        Leaf(name, weights.shape, scores, weights.ndim - 1, weights.ndim - 2)
        for (name, weights), scores in zip(params.items(), score(), strict=True)
    ]
    flat = np.concatenate([leaf.scores.ravel() for leaf in leaves])
    copied = np.empty_like(flat)
    times = in_turn(
        {
            "score": score,
            "ranking": lambda: mask.allocation.rank(leaves, sparsities, mask.context),
            "total": pack,
            "sort": lambda: np.sort(flat),
            "copy": lambda: np.copyto(copied, flat),
        },
        options.repeats,
    )
    elapsed = {name: spent.elapsed for name, spent in times.items()}
    elapsed["packing"] = elapsed["total"] - elapsed["score"] - elapsed["ranking"]
    return {
        **{f"{name}_s": statistics.median(spent) for name, spent in elapsed.items()},
        "total_processor_s": statistics.median(times["total"].processor),
        "over_copy": statistics.median(elapsed["total"] / elapsed["copy"]),
        "extra_bytes": extra,
        "extra_over_weights": extra / sum(w.nbytes for w in params.values()),
    }


def memory_of(call: Callable[[], Any]) -> int:
    """Bytes of the arrays that a call holds at once, at most."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    return (
        f"{row['mask']:>27}: score {row['score_s']:.2f} s, ranking "
        f"{row['ranking_s']:.2f} s, packing {row['packing_s']:.2f} s, total "
        f"{row['total_s']:.2f} s ({row['total_processor_s']:.2f} s of a processor); "
        f"{row['extra_over_weights']:.2f} × the weights of memory"
    )


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pick what stands in the table of all benchmarks."""
    slowest = max(rows, key=lambda row: row["total_s"])
    made = [
        ratio(
            f"ranking and masks, slowest of {len(rows)} ({slowest['mask']}), seconds",
            slowest["total_s"],
            at_most=SECONDS,
        )
    ]
    made += [
        ratio(
            f"{row['mask']}, memory over the weights",
            row["extra_over_weights"],
            at_most=COPIES_OF_WEIGHTS,
        )
        for row in rows
        if row["mask"] in {f"{name}/magnitude" for name in _LIGHT}
    ]
    return made


if __name__ == "__main__":
    main()
