"""What each quality score takes, in forward passes of the same network.

    python experiments/timings/quality_cost.py --backbone sface --weights FILE.onnx
    python experiments/timings/quality_cost.py --backbone demo --methods norm grafiqs

Each scorer and one dense forward pass, as the library itself runs it, see the same
batch of images in turn, so that a machine that drifts drifts for all; the lower
quartile of the repetitions is reported, and a ratio of processor time (``cpu``), which
other work on the machine disturbs less. Weights are those of the file; where none is
given and none comes with the package, random ones, which do not change the work. Prints
a table and writes it, with the hardware's description, as JSON.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    device_kind,
    hardware,
    in_turn,
    output_path,
    parser,
    random_network,
    ratio,
    write,
)
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone, Provenance, load_backbone
from prefiqs_jax.backbones.taps import make_taps
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.quality import METHODS, Draws, Scorer, image_seeds, make_scorers

ALONE = ("norm", "prefiqs", "first-order", "grafiqs", "serfiq", "faceqan", "random")
TOGETHER = "prefiqs and first-order"
SPARSITIES = (0.1, 0.2, 0.4, 0.6, 0.8)
HEADER = (
    f"{'method':26} {'forwards':>8} {'ms / image':>10} {'compile':>8}  by definition"
)


def main() -> None:
    """Measure, print, write."""
    made = parser("Time quality scores in forward passes of the same network.")
    made.add_argument("--backbone", default="sface", metavar="NAME")
    made.add_argument("--weights", metavar="FILE")
    made.add_argument("--methods", nargs="+", default=list(ALONE), metavar="NAME")
    made.add_argument("--batch", type=int, default=32)
    made.add_argument("--repeats", type=int, default=5)
    options = made.parse_args()
    draws, sparsities = Draws(), SPARSITIES
    if options.quick:
        options.batch, options.repeats = 2, 1
        sparsities = SPARSITIES[2:4]
        draws = Draws(serfiq_passes=3, faceqan_samples=1, faceqan_steps=2)
    rows: list[dict[str, Any]] = []
    result = {
        "benchmark": "quality_cost",
        "backbone": options.backbone,
        "weights": Path(options.weights).name if options.weights else None,
        "batch": options.batch,
        "sparsities": sparsities,
        "repeats": options.repeats,
        "statistic": "lower quartile",
        "device": device_kind(),
        "hardware": hardware(),
        "rows": rows,
    }
    out = output_path("quality_cost", options.out)
    backbone = network(options.backbone, options.weights)
    made_of = scorers(
        backbone, options.methods, options.batch, tuple(sparsities), draws
    )
    rows += measure(backbone, made_of, options.batch, options.repeats)
    print(HEADER)
    for row in rows:
        print(describe(row))
    write(out, result, [figure(row) for row in rows])
    print(out)


def network(name: str, weights: str | None) -> Backbone:
    """Load a network, or make one with random weights."""
    if weights or name == "demo":
        return load_backbone(name, weights)
    drawn = random_network(name)
    found = drawn.architecture
    return Backbone(
        name,
        drawn.params,
        drawn.apply_fn,
        found.embedding_dim,
        found.preprocessing,
        Provenance("random", "", "random", "", "none"),
        taps=make_taps(found.blueprint, drawn.tensors),
    )


def scorers(
    backbone: Backbone,
    methods: list[str],
    batch: int,
    sparsities: tuple[float, ...],
    draws: Draws,
) -> dict[str, tuple[Scorer, ...]]:
    """Make the scorers of every method alone, and of those that share the most."""
    named = {name: [name] for name in methods}
    if {"prefiqs", "first-order"} <= set(methods):
        named[TOGETHER] = ["prefiqs", "first-order"]
    return {
        name: make_scorers(
            backbone, wanted, batch_size=batch, sparsities=sparsities, draws=draws
        )
        for name, wanted in named.items()
    }


def measure(
    backbone: Backbone,
    methods: dict[str, tuple[Scorer, ...]],
    batch: int,
    repeats: int,
) -> list[dict[str, Any]]:
    """Time all of them against a forward pass, in turn."""
    pixels = backbone.preprocessing
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (batch, pixels.height, pixels.width, 3), np.uint8)
    images = backbone.preprocess(pictures)
    seeds = image_seeds(f"{index}.png" for index in range(batch))
    run = Embedder(backbone.apply_fn, batch)
    calls: dict[str, Callable[[], Any]] = {
        "forward": lambda: run(backbone.params, images),
        **{name: _call(made, images, seeds) for name, made in methods.items()},
    }
    first_s = {}
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        first_s[name] = time.perf_counter() - start
    times = in_turn(calls, repeats, warm_up=False)
    took = {name: float(np.quantile(t.elapsed, 0.25)) for name, t in times.items()}
    processor = {name: float(t.processor.min()) for name, t in times.items()}
    return [
        {
            "method": name,
            "outputs": [output for scorer in made for output in scorer.names],
            "forwards": took[name] / took["forward"],
            "forwards_processor_time": processor[name] / processor["forward"],
            "by_definition": _definition(name),
            "seconds": took[name],
            "ms_per_image": 1e3 * took[name] / batch,
            "forward_s": took["forward"],
            "first_call_s": first_s[name],
        }
        for name, made in methods.items()
    ]


def _call(
    made: tuple[Scorer, ...], images: NDArray, seeds: NDArray
) -> Callable[[], Any]:
    return lambda: [scorer.call(images, seeds) for scorer in made]


def _definition(name: str) -> str:
    return "1 + 3 S" if name == TOGETHER else METHODS[name].forwards


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    return (
        f"{row['method']:26} {row['forwards']:8.1f} "
        f"{row['forwards_processor_time']:8.1f} {row['ms_per_image']:10.2f} "
        f"{row['first_call_s']:6.1f} s  {row['by_definition']}"
    )


def figure(row: dict[str, Any]) -> dict[str, Any]:
    """Pick what is printed; no method has a goal of its own."""
    return ratio(f"{row['method']}, in forwards", row["forwards"])


if __name__ == "__main__":
    main()
