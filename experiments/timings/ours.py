"""Our side of a comparison: a dense forward pass, and the sweep as it really runs."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from common import Network, in_turn
from numpy.typing import NDArray

from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision, at_precision
from prefiqs_jax.execution.slices import cache_friendly, in_slices
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sweep.engine import Measured, SweepProblem, prepare
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.planner import Plan, Planner
from prefiqs_jax.sweep.tuning import Tune
from prefiqs_jax.types import ApplyFn


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A compiled sweep of one batch."""

    call: Callable[[], Measured]
    """Runs it to the end and gives its numbers, shape (sparsities, batch)."""
    plan: Plan
    problem: SweepProblem
    masks_s: float
    compile_s: float
    """Seconds to compile it, and to measure strategies where that is asked for."""


def our_sweep(
    network: Network,
    images: NDArray,
    sparsities: Sequence[float],
    *,
    precision: Precision = DEFAULT_PRECISION,
    tune: Tune = "always",
) -> Sweep:
    """Prepare the sweep of a batch with global magnitude masks."""
    start = time.perf_counter()
    masks = pack_masks(globally(magnitude), network.params, sparsities)
    problem = prepare(network.apply_fn, network.params, masks, precision=precision)
    masks_s = time.perf_counter() - start

    start = time.perf_counter()
    executor = Executor(
        Planner(
            problem,
            images.shape[1:],
            len(images),
            batch_size=len(images),
            tune=tune,
        )
    )
    compile_s = time.perf_counter() - start
    return Sweep(
        lambda: executor.finish(executor.start(images)),
        executor.plan,
        problem,
        masks_s,
        compile_s,
    )


def our_forward(
    network: Network,
    images: NDArray,
    *,
    precision: Precision = DEFAULT_PRECISION,
    slice_size: int | None = None,
    by_rule: bool = False,
) -> Callable[[], Any]:
    """Compile a dense forward pass; the call waits, and gives the raw embeddings.

    Parameters
    ----------
    network, images
        What runs; the images are put on the device once.
    precision
        Of products.
    slice_size
        As in a sweep's strategy.
    by_rule
        In slices where the library's own forward passes take them.
    """
    placed = jax.device_put(images)
    apply_fn: ApplyFn = at_precision(network.apply_fn, precision)
    if slice_size:
        apply_fn = in_slices(apply_fn, slice_size)
    elif by_rule:
        apply_fn = cache_friendly(apply_fn)
    # Under the options of the sweep: a slower forward would flatter it.
    lowered = jax.jit(apply_fn).lower(network.params, placed)
    compiled = lowered.compile(compiler_options=compiler_options())
    return lambda: compiled(network.params, placed).block_until_ready()


def best_forward(
    network: Network,
    images: NDArray,
    slice_size: int | None = None,
    precision: Precision = DEFAULT_PRECISION,
) -> tuple[Callable[[], Any], str]:
    """Give the fastest forward pass: by the library's rule, at once, or in slices.

    It is the one dense forward of every benchmark: a sweep in forwards that were slower
    would be flattered.

    Returns
    -------
    call
        The forward pass.
    way
        Which it is.
    """
    settings: dict[str, dict[str, Any]] = {"by rule": {"by_rule": True}, "at once": {}}
    if slice_size:
        settings[f"in slices of {slice_size}"] = {"slice_size": slice_size}
    calls = {
        way: our_forward(network, images, precision=precision, **chosen)
        for way, chosen in settings.items()
    }
    times = in_turn(calls, repeats=3)
    best = min(calls, key=lambda way: float(np.median(times[way].elapsed)))
    return calls[best], best
