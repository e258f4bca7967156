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
from prefiqs_jax.execution.slices import in_slices, network_intensity
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.quality.shared import FIRST_ORDER, NORM, PREFIQS, output_name
from prefiqs_jax.sensitivity import norms
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
    norm: bool,
) -> Scorer:
    """Make the scorer of the first order alone, 1 + 2 S forwards.

    Parameters
    ----------
    backbone, masks
        Network and pruning directions.
    batch_size, precision
        Batch size and precision of the passes.
    norm
        Whether to give the embedding's norm, too, which costs nothing here.
    """
    problem = prepare(
        backbone.apply_fn,
        backbone.params,
        masks,
        precision=precision,
        devices=jax.local_devices()[:1],
    )
    strategy = _strategy(backbone, problem, batch_size)
    run = in_batches(_norms(problem, strategy), problem.weights, batch_size)

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        found = run(images, seeds)
        return _named(masks, found[1:]) | {NORM: found[0]}

    return scorer([*_names(FIRST_ORDER, masks), *([NORM] if norm else [])], compute)


def both_scorer(
    backbone: Backbone,
    masks: PackedMasks,
    *,
    batch_size: int,
    precision: Precision,
    norm: bool,
) -> Scorer:
    """Make the scorer of PreFIQs and its first order, 1 + 3 S forwards.

    Arguments as of :func:`first_order_scorer`. This is the step of a sweep.
    """
    pixels = backbone.preprocessing
    problem = prepare(
        backbone.apply_fn,
        backbone.params,
        masks,
        precision=precision,
        devices=jax.local_devices()[:1],
    )
    shape = (pixels.height, pixels.width, 3)
    executor = Executor(Planner(problem, shape, batch_size, batch_size=batch_size))

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        del seeds
        measured = executor.finish(executor.start(images))
        compared = measured.compared
        first, drift = np.asarray(compared.first_order), np.asarray(compared.drift)
        qualities = dict(zip(_names(PREFIQS, masks), 1 - drift / 2, strict=True))
        return qualities | _named(masks, first) | {NORM: measured.dense_norm}

    names = [*_names(PREFIQS, masks), *_names(FIRST_ORDER, masks)]
    return scorer([*names, *([NORM] if norm else [])], compute)


def _norms(problem: SweepProblem, strategy: Strategy) -> ImageFunction:
    """Compute ‖f‖ and then ‖J δ‖ at each sparsity, shape (1 + S, batch)."""
    apply_fn = problem.apply_fn
    if strategy.slice_size:
        apply_fn = in_slices(apply_fn, strategy.slice_size)

    def compute(weights: Any, images: Array, seeds: Array) -> Array:
        del seeds
        leaves, fixed, planes = weights
        dense = problem.linearise(apply_fn, leaves, fixed, images)
        found = map_chunks(
            lambda index: norms(dense.push(delta_leaves(leaves, planes, index))),
            jnp.arange(problem.sparsity_count),
            strategy.tangent_chunk,
        )
        return jnp.concatenate([dense.norm[None], found])

    return compute


def _strategy(backbone: Backbone, problem: SweepProblem, batch_size: int) -> Strategy:
    pixels = backbone.preprocessing
    image = jax.ShapeDtypeStruct((1, pixels.height, pixels.width, 3), np.float32)
    intensity = network_intensity(backbone.apply_fn, backbone.params, image)
    return default_strategy(problem.sparsity_count, batch_size, intensity)


def _named(masks: PackedMasks, first_order: NDArray) -> dict[str, NDArray]:
    return dict(zip(_names(FIRST_ORDER, masks), -first_order, strict=True))


def _names(method: str, masks: PackedMasks) -> list[str]:
    return [output_name(method, sparsity) for sparsity in masks.sparsities]
