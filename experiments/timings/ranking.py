"""What it takes to rank the weights of a network and to make all masks of a sweep.

    python experiments/timings/ranking.py
    python experiments/timings/ranking.py --weights 10000000 --sparsities 100

The tree has the shapes of a published network, by default all 65 million weights of
iResNet-100, and random normal values. A part is timed alone: the score, the ranking of
given scores, and the packing as what the whole takes beyond the two. In turn with them
run one sort of the same scores, what a mask by definition needs at least, and one copy
of them, what any reading of the memory needs. Prints a line for each allocation and
writes them, with the hardware's description, as JSON.
"""

import argparse
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
from prefiqs_jax.masks import globally, layerwise, magnitude
from prefiqs_jax.masks.allocation import RANKS
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.trees import is_prunable

ALLOCATIONS = {"global": globally, "layerwise": layerwise}
SECONDS = 8.0  # for 65 million weights and ten masks, on two cores
COPIES_OF_SCORES = 3.0


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    params = kernels(options.backbone, options.weights)
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
    for name in ALLOCATIONS:
        result["rows"].append(measure(name, params, options))
        print(describe(result["rows"][-1]), flush=True)
        write(out, result, figures(result["rows"]))
    print(out)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser("Time how the masks of a sweep are made.")
    made.add_argument("--backbone", default="arcface_iresnet100")
    made.add_argument("--weights", type=int, help="default: all of the network")
    made.add_argument("--sparsities", type=int, default=10)
    made.add_argument("--repeats", type=int, default=5)
    options = made.parse_args()
    if options.quick:
        options.weights, options.repeats = 200_000, 1
    return options


def kernels(backbone: str, weights: int | None) -> dict[str, NDArray[np.float32]]:
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
    allocation: str, params: dict[str, NDArray[np.float32]], options: argparse.Namespace
) -> dict[str, Any]:
    """Time one allocation, part by part, and see how much memory the whole takes."""
    mask_fn = ALLOCATIONS[allocation](magnitude)
    sparsities = levels(options.sparsities)

    def score() -> list[NDArray]:
        return [magnitude(name, weights) for name, weights in params.items()]

    def pack() -> None:
        pack_masks(mask_fn, params, sparsities)

    extra = memory_of(pack)
    scores = score()
    sizes = [weights.size for weights in params.values()]
    flat = np.concatenate([s.ravel() for s in scores])
    copied = np.empty_like(flat)
    times = in_turn(
        {
            "score": score,
            "ranking": lambda: RANKS[allocation](scores, sizes, sparsities),
            "total": pack,
            "sort": lambda: np.sort(flat),
            "copy": lambda: np.copyto(copied, flat),
        },
        options.repeats,
    )
    elapsed = {name: spent.elapsed for name, spent in times.items()}
    elapsed["packing"] = elapsed["total"] - elapsed["score"] - elapsed["ranking"]
    return {
        "allocation": allocation,
        **{f"{name}_s": statistics.median(spent) for name, spent in elapsed.items()},
        "over_sort": statistics.median(elapsed["total"] / elapsed["sort"]),
        "over_copy": statistics.median(elapsed["total"] / elapsed["copy"]),
        "extra_bytes": extra,
        "extra_over_scores": extra / flat.nbytes,
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
        f"{row['allocation']:>9}: score {row['score_s']:.3f} s, ranking "
        f"{row['ranking_s']:.3f} s, packing {row['packing_s']:.3f} s, total "
        f"{row['total_s']:.3f} s = {row['over_sort']:.2f} sorts = "
        f"{row['over_copy']:.0f} copies; {row['extra_over_scores']:.2f} × the scores "
        f"of memory"
    )


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pick what stands in the table of all benchmarks."""
    made = []
    for row in rows:
        which = f"{row['allocation']} ranking and masks"
        made += [
            ratio(f"{which}, seconds", row["total_s"], at_most=SECONDS),
            ratio(f"{which}, over one sort", row["over_sort"], at_most=1.0),
            ratio(
                f"{which}, memory over the scores",
                row["extra_over_scores"],
                at_most=COPIES_OF_SCORES,
            ),
        ]
    return made


if __name__ == "__main__":
    main()
