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
from prefiqs_jax.execution.forward import forward
from prefiqs_jax.execution.precision import Precision
from prefiqs_jax.masks.packed import PackedMasks, delta_at
from prefiqs_jax.quality.methods import CRFIQA, NORM, PREFIQS
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.types import Params


def output_name(method: str, sparsity: float) -> str:
    """Name the output of a method at one sparsity.

    >>> output_name("prefiqs", 0.4)
    'prefiqs/0.4'
    """
    return f"{method}/{sparsity:g}"


def forward_scorer(
    backbone: Backbone,
    methods: Sequence[str],
    masks: PackedMasks | None,
    *,
    batch_size: int,
    precision: Precision,
) -> Scorer:
    """Make the scorer that shares one dense forward pass among all of its methods.

    Parameters
    ----------
    backbone
        The network.
    methods
        Of ``prefiqs``, ``norm`` and ``crfiqa``.
    masks
        For ``prefiqs``; one pruned network at a time is made of them.
    batch_size, precision
        Of the forward passes.

    Notes
    -----
    PreFIQs is 1 - D / 2 with the drift D = ‖z(θ + δ) - z(θ)‖ of unit embeddings; the
    norm is ‖f(x; θ)‖, which is a quality where the training has made it one (MagFace)
    and a baseline elsewhere.
    """
    run = forward(backbone.apply_fn, batch_size, precision)
    prune = _pruned(backbone.params, masks) if masks and PREFIQS in methods else None
    sparsities = masks.sparsities if masks and prune else ()

    def embed(params: Params, images: NDArray) -> NDArray[np.float64]:
        starts = range(0, len(images), batch_size)
        return np.concatenate([run(params, images[i : i + batch_size]) for i in starts])

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        del seeds
        raw = embed(backbone.params, images)
        found = {NORM: np.linalg.norm(raw, axis=1)}
        if CRFIQA in methods and backbone.quality_head is not None:
            head = backbone.quality_head(jnp.asarray(raw, jnp.float32))
            found[CRFIQA] = np.asarray(head)
        for index, sparsity in enumerate(sparsities):
            assert prune is not None
            moved = _unit(embed(prune(index), images)) - _unit(raw)
            drift = np.linalg.norm(moved, axis=1)
            found[output_name(PREFIQS, sparsity)] = 1 - drift / 2
        return found

    names = [name for name in methods if name != PREFIQS]
    return scorer([*(output_name(PREFIQS, s) for s in sparsities), *names], compute)


def _pruned(params: Params, masks: PackedMasks) -> Callable[[int], Params]:
    """Make the function that prunes the weights to one of the sparsities, anew."""
    leaves, structure = jax.tree.flatten(params)
    moving = [p is not None for p in masks.planes]
    planes = [jax.device_put(p) for p in masks.planes if p is not None]

    def prune(weights: list[Array], planes: list[Array], index: Array) -> list[Array]:
        pairs = zip(weights, planes, strict=True)
        return [weight + delta_at(weight, plane, index) for weight, plane in pairs]

    compiled = jax.jit(prune, compiler_options=compiler_options())

    def at(index: int) -> Params:
        dense = [leaf for leaf, moves in zip(leaves, moving, strict=True) if moves]
        pruned = iter(compiled(dense, planes, np.int32(index)))
        both: list[Any] = [
            next(pruned) if moves else leaf
            for leaf, moves in zip(leaves, moving, strict=True)
        ]
        return jax.tree.unflatten(structure, both)

    return at


def _unit(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # zero over zero is refused as not finite
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)
