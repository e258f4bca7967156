"""Scores that need forward passes only: norm, CR-FIQA's head, and PreFIQs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.execution.precision import Precision
from prefiqs_jax.masks.packed import PackedMasks, delta_at
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.quality.shared import CRFIQA, NORM, PREFIQS, output_name
from prefiqs_jax.sensitivity import drift_of, norms, unit
from prefiqs_jax.types import Params


def forward_scorer(
    backbone: Backbone,
    methods: Sequence[str],
    masks: PackedMasks | None,
    *,
    batch_size: int,
    precision: Precision,
) -> Scorer:
    """Make the scorer that shares one dense forward pass among all of its methods.

    These are of ``prefiqs``, which takes the masks, ``norm`` and ``crfiqa``. One pruned
    network at a time is made of the masks.

    PreFIQs is 1 - D / 2 with the drift D = ‖z(θ + δ) - z(θ)‖ of unit embeddings; the
    norm is ‖f(x; θ)‖, which is a quality where the training has made it one (MagFace)
    and a baseline elsewhere.
    """
    embed = Embedder(backbone.apply_fn, batch_size, precision)
    prune = (
        pruned_params(backbone.params, masks) if masks and PREFIQS in methods else None
    )
    sparsities = masks.sparsities if masks and prune else ()

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        del seeds
        raw = embed(backbone.params, images)
        found = {NORM: norms(raw)}
        if CRFIQA in methods and backbone.quality_head is not None:
            head = backbone.quality_head(jnp.asarray(raw, jnp.float32))
            found[CRFIQA] = np.asarray(head)
        for index, sparsity in enumerate(sparsities):
            assert prune is not None
            pruned = embed(prune(index), images)
            with np.errstate(invalid="ignore"):  # 0 / 0 is refused as not finite
                drift = drift_of(unit(pruned) - unit(raw))
            found[output_name(PREFIQS, sparsity)] = 1 - drift / 2
        return found

    names = [name for name in methods if name != PREFIQS]
    return scorer([*(output_name(PREFIQS, s) for s in sparsities), *names], compute)


def pruned_params(params: Params, masks: PackedMasks) -> Callable[[int], Params]:
    """Make the function that prunes the weights to one of the sparsities, anew."""
    leaves, structure = jax.tree.flatten(params)
    planes = [None if p is None else jax.device_put(p) for p in masks.planes]

    def prune(leaves: list[Array], planes: list[Any], index: Array) -> list[Array]:
        return [
            w if p is None else w + delta_at(w, p, index)
            for w, p in zip(leaves, planes, strict=True)
        ]

    compiled = jax.jit(prune, compiler_options=compiler_options())
    return lambda index: jax.tree.unflatten(
        structure, compiled(leaves, planes, np.int32(index))
    )
