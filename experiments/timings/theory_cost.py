"""What each quantity beyond first order takes, in forward passes of the same network.

    python experiments/timings/theory_cost.py
    python experiments/timings/theory_cost.py --backbones sface --batch 32

Every function and one dense forward pass see the same batch in turn, so that a machine
that drifts drifts for all; memory-bound networks take the batch in slices, as sweeps
do. The steps of a sweep with each measurement on request are timed, too: what it adds,
for each sparsity. Weights are random, which does not change the work; the direction is
that of global magnitude pruning. Prints a table and writes it, with the hardware's
description, as JSON.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import (
    device_kind,
    hardware,
    in_turn,
    output_path,
    parser,
    random_network,
    ranged,
    ratio,
    spread,
    write,
)
from jax import Array

from prefiqs_jax.backbones.taps import make_taps
from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.execution.slices import default_slice, in_slices, network_intensity
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sensitivity import (
    activations,
    embedding_jvp,
    layer_contributions,
    linearise_kinks,
    norms,
    open_kinks,
    path_integral,
    sign_flips,
    taylor,
)
from prefiqs_jax.sweep.engine import compile_step, fetch, prepare, start
from prefiqs_jax.sweep.extras import plan_extras
from prefiqs_jax.sweep.strategy import default_strategy
from prefiqs_jax.trees import is_prunable

FORWARDS = 5
SPARSITY = 0.5
SPARSITIES = (0.1, 0.3, 0.5, 0.7)
WORDS = ("taylor2", "taylor3", "kinks", "layers", "controls")
HEADER = f"{'network':18} {'what':42} {'counted':>7}  forwards"


class Goal(NamedTuple):
    """Forward passes of a function: by count of the products, and at most."""

    counted: float
    at_most: float | None = None


GOALS = {
    "first order": Goal(3),
    "order 2": Goal(4, 4.0),
    "order 3": Goal(6, 7.5),
    "layers": Goal(4, 5.5),
    "flips": Goal(2, 2.2),
    "first order, drift, flips and their split": Goal(5),
    "order 3, drift, flips and their split": Goal(8),
    "path, 8 nodes and both ends": Goal(26, 25),
}


def main() -> None:
    """Measure, print, write."""
    made = parser("Time what goes beyond first order in forward passes.")
    names = ["arcface_iresnet18", "sface"]
    made.add_argument("--backbones", nargs="+", default=names, metavar="NAME")
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument(
        "--with",
        dest="words",
        nargs="*",
        default=WORDS,
        choices=WORDS,
        help="measurements of sweeps to time beside the functions (all)",
    )
    made.add_argument("--add", action="store_true", help="keep other networks' rows")
    options = made.parse_args()
    words: Sequence[str] = options.words
    if options.quick:
        options.backbones, options.batch, options.repeats = ["sface"], 2, 1
        words = ["taylor2"]
    rows: list[dict[str, Any]] = []
    result = {
        "benchmark": "theory_cost",
        "batch": options.batch,
        "repeats": options.repeats,
        "sparsity": SPARSITY,
        "sparsities_of_sweeps": SPARSITIES,
        "statistic": "median, of times over that of the forward pass in the same turn",
        "device": device_kind(),
        "hardware": hardware(),
        "rows": rows,
    }
    out = output_path("theory_cost", options.out)
    if options.add:
        kept = json.loads(out.read_text())["rows"]
        rows += [row for row in kept if row["network"] not in options.backbones]
    print(HEADER)
    for name in options.backbones:
        for row in measure(name, options.batch, options.repeats, words):
            rows.append(row)
            print(describe(row), flush=True)
            write(out, result, [figure(row) for row in rows])
    print(out)


def measure(
    name: str, batch: int, repeats: int, words: Sequence[str]
) -> list[dict[str, Any]]:
    """Time all functions, and all steps, against a forward pass."""
    network = random_network(name)
    images = jnp.asarray(network.images(batch))
    size = default_slice(
        batch, network_intensity(network.apply_fn, network.params, images[:1])
    )
    run = Embedder(network.apply_fn, batch)
    pixels = np.asarray(images)
    # Several: the first after another program finds nothing of its own in the cache.
    calls: dict[str, Callable[[], Any]] = {
        "forward": lambda: [run(network.params, pixels) for _ in range(FORWARDS)]
    }
    made = functions(network, images, size)
    calls |= {what: made[what] for what in GOALS}
    calls |= steps(network, images, words)
    times = {
        what: each.elapsed
        for what, each in in_turn(calls, repeats, warm_up=True).items()
    }
    dense = times["forward"] / FORWARDS
    rows = [
        row(name, what, times[what] / dense, goal.counted, goal.at_most)
        for what, goal in GOALS.items()
    ]
    bare = times.get("sweep", np.zeros(repeats))
    if words:
        rows.append(row(name, "sweep, a sparsity", bare / dense / len(SPARSITIES)))
    for word in words:
        added = (times[f"sweep with {word}"] - bare) / dense / len(SPARSITIES)
        rows.append(row(name, f"sweep, {word} adds to a sparsity", added))
    if len(words) > 1:
        every = times["sweep with all"] / dense / len(SPARSITIES)
        rows.append(row(name, "sweep with all of them, a sparsity", every))
    return [
        each | {"forward_s": float(np.median(dense)), "slice": size} for each in rows
    ]


def functions(
    network: Any, images: Array, size: int | None
) -> dict[str, Callable[[], Any]]:
    """Make the calls of the plain functions, each one program of a batch."""
    apply_fn, params = network.apply_fn, network.params
    taps = make_taps(network.architecture.blueprint, network.tensors)
    reverse_fn = None if taps is None else taps.reverse_fn()
    delta = pruning_delta(params, globally(magnitude)(params, SPARSITY))

    def first_order(weights: Any, images: Array) -> Array:
        params, delta = weights
        return norms(embedding_jvp(apply_fn, params, delta, images)[1])

    def series(order: int, weights: Any, images: Array) -> Array:
        params, delta = weights
        return norms(taylor(apply_fn, params, delta, images, order))

    def layers(weights: Any, images: Array) -> Array:
        params, delta = weights
        found = layer_contributions(
            apply_fn,
            params,
            delta,
            images,
            prunable=is_prunable,
            reverse_fn=reverse_fn,
        )
        return jnp.stack(list(found.values()))

    def flips(weights: Any, images: Array) -> Array:
        params, delta = weights
        found = sign_flips(activations(apply_fn), params, delta, images)
        return jnp.stack(list(found.values()))

    def split(order: int, weights: Any, images: Array) -> Any:
        params, delta = weights
        opened = open_kinks(apply_fn, params, images)
        found = linearise_kinks(opened, params, images, order)
        (along, predicted), moved = found.expand(delta), found.prune(delta)
        counts = [*predicted.values(), *moved.flips.values()]
        sides = norms(found.frozen(delta) - moved.embedding)
        return norms(along), jnp.stack(counts), sides

    made = {
        "first order": first_order,
        "order 2": functools.partial(series, 2),
        "order 3": functools.partial(series, 3),
        "layers": layers,
        "flips": flips,
        "first order, drift, flips and their split": functools.partial(split, 1),
        "order 3, drift, flips and their split": functools.partial(split, 3),
    }
    calls: dict[str, Callable[[], Any]] = {}
    for what, function in made.items():
        run = jax.jit(
            in_slices(function, size, axis=-1), compiler_options=compiler_options()
        )
        calls[what] = lambda run=run: jax.block_until_ready(
            run((params, delta), images)
        )
    sliced = in_slices(apply_fn, size)
    # So tolerant that one panel does: its nodes, and both of its ends.
    calls["path, 8 nodes and both ends"] = lambda: path_integral(
        sliced, params, delta, images, 1e6
    )
    return calls


def steps(
    network: Any, images: Array, words: Sequence[str]
) -> dict[str, Callable[[], Any]]:
    """Make the calls of a sweep's step, with and without each measurement."""
    params, batch = network.params, len(images)
    packed = pack_masks(globally(magnitude), params, SPARSITIES)
    taps = make_taps(network.architecture.blueprint, network.tensors)
    reverse_fn = None if taps is None else taps.reverse_fn()
    intensity = network_intensity(network.apply_fn, params, images[:1])
    rule = default_strategy(len(SPARSITIES), batch, intensity)
    pixels = np.asarray(images)
    calls: dict[str, Callable[[], Any]] = {}
    wanted: dict[str, tuple[str, ...]] = {"sweep": ()} if words else {}
    wanted |= {f"sweep with {word}": (word,) for word in words}
    if len(words) > 1:
        wanted["sweep with all"] = tuple(words)
    for what, some in wanted.items():
        extras = plan_extras(
            some,
            network.name,
            network.apply_fn,
            params,
            packed,
            network.image_shape,
            reverse_fn,
        )
        problem = prepare(network.apply_fn, params, packed, extras=extras)
        chunk = 1 if some else rule.tangent_chunk
        strategy = dataclasses.replace(rule, tangent_chunk=chunk)
        compiled = compile_step(problem, pixels.shape, strategy)
        calls[what] = lambda compiled=compiled, problem=problem: fetch(
            start(compiled, problem, pixels, batch), batch
        )
    return calls


def row(
    name: str,
    what: str,
    forwards: Any,
    counted: float | None = None,
    at_most: float | None = None,
) -> dict[str, Any]:
    """Make a line of the table."""
    return {
        "network": name,
        "what": what,
        "counted": counted,
        "at_most": at_most,
        "forwards": spread(forwards),
    }


def describe(row: dict[str, Any]) -> str:
    """Write a line of the table."""
    counted = "" if row["counted"] is None else f"{row['counted']:g}"
    return (
        f"{row['network']:18} {row['what']:42} {counted:>7}  {ranged(row['forwards'])}"
    )


def figure(row: dict[str, Any]) -> dict[str, Any]:
    """Pick what is printed, with the goal."""
    what = f"{row['network']}: {row['what']}, in forwards"
    return ratio(what, row["forwards"]["median"], at_most=row["at_most"])


if __name__ == "__main__":
    main()
