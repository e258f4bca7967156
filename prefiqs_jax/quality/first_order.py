"""First-order PreFIQs: the norm of a Jacobian-vector product as a quality.

The quality is -‖J_θ z(x; θ) δ‖, with the pruning direction δ. No pruned network runs,
and all sparsities share one linearisation of the dense one.

References
----------
Kolf et al. (2026). PreFIQs. CVPRW. arXiv:2605.13396.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.execution.batches import ImageFunction, in_batches
from prefiqs_jax.execution.precision import Precision
from prefiqs_jax.execution.slices import in_slices
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.quality.method import intensity_of, one_image
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.quality.shared import FIRST_ORDER, NORM, PREFIQS, output_name
from prefiqs_jax.sensitivity import linearise, norms
from prefiqs_jax.sweep.engine import (
    SweepProblem,
    delta_leaves,
    map_chunks,
    prepare,
)
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.sweep.strategy import Strategy, default_strategy


def first_order_scorer(
    backbone: Backbone,
    masks: PackedMasks,
    *,
    batch_size: int,
    precision: Precision,
    drift: bool,
    norm: bool,
) -> Scorer:
    """Make the scorer of the first order, 1 + 2 S forwards.

    With `drift` it gives PreFIQs, too: 1 + 3 S forwards, the step of a sweep. With
    `norm` it gives the embedding's norm, too, which costs nothing here.
    """
    problem = prepare(
        backbone.apply_fn,
        backbone.params,
        masks,
        precision=precision,
        devices=jax.local_devices()[:1],
    )
    measure = (_both if drift else _alone)(backbone, problem, batch_size)
    methods = [PREFIQS, FIRST_ORDER] if drift else [FIRST_ORDER]
    names = [output_name(m, sparsity) for m in methods for sparsity in masks.sparsities]

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        dense_norm, *qualities = measure(images, seeds)
        return {NORM: dense_norm, **dict(zip(names, qualities, strict=True))}

    return scorer([*names, *([NORM] if norm else [])], compute)


def _both(backbone: Backbone, problem: SweepProblem, batch_size: int) -> Any:
    """Measure ‖f‖, 1 - drift / 2 and -‖J δ‖ at each sparsity."""
    shape = one_image(backbone).shape[1:]
    executor = Executor(Planner(problem, shape, batch_size, batch_size=batch_size))

    def measure(images: NDArray, seeds: NDArray) -> list[NDArray]:
        del seeds
        found = executor.finish(executor.start(images))
        drift, first = found.compared.drift, found.compared.first_order
        return [found.dense_norm, *(1 - np.asarray(drift) / 2), *-np.asarray(first)]

    return measure


def _alone(backbone: Backbone, problem: SweepProblem, batch_size: int) -> Any:
    """Measure ‖f‖ and -‖J δ‖ at each sparsity."""
    intensity = intensity_of(backbone)
    strategy = default_strategy(problem.sparsity_count, batch_size, intensity)
    run = in_batches(_norms(problem, strategy), problem.weights, batch_size)

    def measure(images: NDArray, seeds: NDArray) -> list[NDArray]:
        dense_norm, *first = run(images, seeds)
        return [dense_norm, *(-each for each in first)]

    return measure


def _norms(problem: SweepProblem, strategy: Strategy) -> ImageFunction:
    """Compute ‖f‖ and then ‖J δ‖ at each sparsity, shape (1 + S, batch)."""
    apply_fn = in_slices(problem.apply_fn, strategy.slice_size)

    def compute(weights: Any, images: Array, seeds: Array) -> Array:
        del seeds
        leaves, fixed, planes = weights
        dense = linearise(
            lambda some, images: apply_fn(problem.params(some, fixed), images),
            leaves,
            images,
        )
        found = map_chunks(
            lambda index: norms(dense.push(delta_leaves(leaves, planes, index))),
            jnp.arange(problem.sparsity_count),
            strategy.tangent_chunk,
        )
        return jnp.concatenate([dense.norm[None], found])

    return compute
