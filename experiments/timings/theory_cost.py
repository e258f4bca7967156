"""What each quantity beyond first order takes, in forward passes of the same network.

    python experiments/timings/theory_cost.py
    python experiments/timings/theory_cost.py --backbones sface --batch 32

Every program and one dense forward pass see the same batch in turn, so that a machine
that drifts drifts for all; memory-bound networks take the batch in slices, as sweeps
do. Each quantity is timed twice: by the plain function, for one direction; and as the
program of a sweep has it, for each of four sparsities that share the dense pass, and
what else they share. Weights are random, which does not change the work; directions are
those of global magnitude pruning. Prints a table and writes it, with the hardware's
description, as JSON.
"""

import functools
import json
from collections.abc import Callable
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
from prefiqs_jax.sweep.directions import Change, direction_pass
from prefiqs_jax.sweep.engine import SweepProblem, delta_leaves, prepare
from prefiqs_jax.sweep.extras import dense_pass, plan_extras
from prefiqs_jax.sweep.network import Network
from prefiqs_jax.trees import is_prunable
from prefiqs_jax.types import ApplyFn, Delta

FORWARDS = 5
SPARSITY = 0.5
SPARSITIES = (0.1, 0.3, 0.5, 0.7)
HEADER = f"{'network':18} {'what':42} {'counted':>7}  forwards"


ALONE = {
    "first order": 3,
    "order 2": 4,
    "order 3": 6,
    "layers": 4,
    "flips": 2,
    "first order, drift, flips and their split": 5,
    "order 3, drift, flips and their split": 8,
    "path, 8 nodes and both ends": 26,
}
"""Forward passes of the plain functions, by count of the products."""


class InSweep(NamedTuple):
    """A quantity of a sweep's program."""

    word: str
    """Of ``--with``."""
    at_most: float
    """Forward passes a sparsity."""
    row: float
    """Forward passes a sparsity by count of the products, but the dense pass."""
    batch: float = 1
    """Those shared by all sparsities."""

    @property
    def counted(self) -> float:
        """Forward passes a sparsity by count of the products."""
        return self.row + self.batch / len(SPARSITIES)


IN_SWEEP = {
    "order 2": InSweep("taylor2", 4.0, 3),
    "order 3": InSweep("taylor3", 7.5, 5),
    # One for the products with δ, one that pushes them on, one in reverse.
    "layers": InSweep("layers", 5.5, 3),
    "flips": InSweep("kinks", 2.2, 1),
    "path, 8 nodes": InSweep("path", 25.0, 24, batch=0),
}

BY_REVERSE_FORM = {
    # The first order takes the network as it is, so that dense passes are two, and
    # products with δ, too.
    "layers": IN_SWEEP["layers"]._replace(row=4, batch=2),
}
"""Of networks that have a form for reverse mode."""


def main() -> None:
    """Measure, print, write."""
    made = parser("Time what goes beyond first order in forward passes.")
    names = ["arcface_iresnet18", "sface"]
    made.add_argument("--backbones", nargs="+", default=names, metavar="NAME")
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--add", action="store_true", help="keep other networks' rows")
    options = made.parse_args()
    if options.quick:
        options.backbones, options.batch, options.repeats = ["sface"], 2, 1
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
        for row in measure(name, options.batch, options.repeats):
            rows.append(row)
            print(describe(row), flush=True)
            write(out, result, [figure(row) for row in rows])
    print(out)


def measure(name: str, batch: int, repeats: int) -> list[dict[str, Any]]:
    """Time all programs against a forward pass."""
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
    alone, shared = functions(network, images, size), programs(network, images, size)
    calls |= {what: alone[what] for what in ALONE}
    calls |= {f"sweep, {what}": shared[what] for what in IN_SWEEP}
    times = {what: each.elapsed for what, each in in_turn(calls, repeats).items()}
    dense = times["forward"] / FORWARDS
    rows = [
        row(name, what, times[what] / dense, counted) for what, counted in ALONE.items()
    ]
    quantities = IN_SWEEP | (BY_REVERSE_FORM if reverse_form(network) else {})
    for what, each in quantities.items():
        taken = times[f"sweep, {what}"] / dense / len(SPARSITIES)
        title = f"{what}, in a sweep"
        rows.append(row(name, title, taken, each.counted, each.at_most))
    return [
        each | {"forward_s": float(np.median(dense)), "slice": size} for each in rows
    ]


def reverse_form(network: Any) -> ApplyFn | None:
    """Give the network in its form for reverse mode, if it has one."""
    taps = make_taps(network.architecture.blueprint, network.tensors)
    return None if taps is None else taps.reverse_fn()


def functions(
    network: Any, images: Array, size: int | None
) -> dict[str, Callable[[], Any]]:
    """Make the calls of the plain functions, each one program of a batch."""
    apply_fn, params = network.apply_fn, network.params
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
            reverse_fn=reverse_form(network),
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


def programs(
    network: Any, images: Array, size: int | None
) -> dict[str, Callable[[], Any]]:
    """Make the calls of what a sweep's program does for each quantity."""
    params = network.params
    packed = pack_masks(globally(magnitude), params, SPARSITIES)
    reverse_fn = reverse_form(network)
    calls: dict[str, Callable[[], Any]] = {}
    for what, each in IN_SWEEP.items():
        extras = plan_extras(
            (each.word,),
            network.name,
            network.apply_fn,
            params,
            packed,
            network.image_shape,
            reverse_fn,
        )
        problem = prepare(network.apply_fn, params, packed, extras=extras)
        run = jax.jit(
            program_of(what, problem, size), compiler_options=compiler_options()
        )
        calls[what] = lambda run=run, weights=problem.weights: jax.block_until_ready(
            run(weights, images)
        )
    return calls


def program_of(
    what: str, problem: SweepProblem, size: int | None
) -> Callable[[Any, Array], Array]:
    """Make a sweep's program of one quantity: ``(weights, images) -> numbers``."""
    of_path = IN_SWEEP[what].word == "path"
    # As sweeps do: a path's nodes are slices within, all else is within the slices.
    inner, outer = (size, None) if of_path else (None, size)
    apply_fn = in_slices(problem.apply_fn, inner)

    def along(network: Network) -> Callable[[Delta, Array], Array]:
        if of_path:
            measure = direction_pass(("path",), network)
            ends = Change(jnp.zeros(()), jnp.zeros(()))  # its length needs none
            return lambda delta, index: measure(delta, ends, index)["path_length"]
        dense = dense_pass(problem.extras, network)

        def quantity(delta: Delta, index: Array) -> Array:
            del index
            known = dense.tangents(delta)
            if known.coefficients is not None:
                return norms(known.coefficients)
            columns = dense.prune(delta, known).columns
            return columns["kinks.flips" if what == "flips" else "layers.contribution"]

        return quantity

    def program(weights: Any, images: Array) -> Array:
        leaves, fixed, planes = weights
        build = functools.partial(problem.params, fixed_leaves=fixed)
        network = Network(apply_fn, leaves, build, images, problem.extras.reverse_fn)
        quantity = along(network)
        return jax.lax.map(
            lambda index: quantity(delta_leaves(leaves, planes, index), index),
            jnp.arange(problem.sparsity_count),
        )

    return in_slices(program, outer, axis=-1)


def row(
    name: str,
    what: str,
    forwards: Any,
    counted: float,
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
    return (
        f"{row['network']:18} {row['what']:42} {row['counted']:>7g}  "
        f"{ranged(row['forwards'])}"
    )


def figure(row: dict[str, Any]) -> dict[str, Any]:
    """Pick what is printed, with the goal."""
    what = f"{row['network']}: {row['what']}, in forwards"
    return ratio(what, row["forwards"]["median"], at_most=row["at_most"])


if __name__ == "__main__":
    main()
