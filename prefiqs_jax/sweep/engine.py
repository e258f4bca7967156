"""The compiled heart of a sweep: all sparsities of one batch in one program.

Work of one batch at S sparsities is one dense forward pass, S tangent passes of two
forwards each (a layer's tangent is conv(ẋ, W) + conv(x, δ)) and S forward passes of
really pruned networks: 3 S + 1 forwards. The dense pass is linearised once and shared;
tangents run in chunks, batched; pruned networks run one after the other, each made from
one bit a weight where it is used. Only (S, batch) numbers leave the device.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.aliases import ApplyFn, Params
from prefiqs_jax.compilation import compiler_options
from prefiqs_jax.masks.packed import PackedMasks, delta_at
from prefiqs_jax.sensitivity import Agreement, agreement, unit

PRECISION = "highest"
"""Matrix precision: full float32, no TF32 that would hide a drift of 1e-3."""


class Measured(NamedTuple):
    """What one batch gives; arrays of shape (sparsities, batch) unless stated."""

    compared: Agreement
    """First-order and real change."""
    dense_norm: Any
    """‖f(x; θ)‖ before normalisation, shape (batch,)."""
    pruned_norm: Any
    """‖f(x; θ + δ)‖ before normalisation."""


@dataclasses.dataclass(frozen=True)
class SweepProblem:
    """A network and its masks, split into what moves and what stays.

    Attributes
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    moving, still
        Leaves of the parameters that some mask touches, and the others. Only the former
        are differentiated, so that no tangent runs through biases or BatchNorm scales.
    planes
        Packed masks of the moving leaves.
    where_moving
        For each leaf in tree order, whether it moves.
    structure
        Tree definition of the parameters.
    sparsity_count
        S.
    """

    apply_fn: ApplyFn
    moving: list[Array]
    still: list[Array]
    planes: list[Array]
    where_moving: tuple[bool, ...]
    structure: Any
    sparsity_count: int

    def params(self, moving: list[Array], still: list[Array]) -> Params:
        """Put the leaves back into the tree."""
        moving_leaves, still_leaves = iter(moving), iter(still)
        leaves = [
            next(moving_leaves if moves else still_leaves)
            for moves in self.where_moving
        ]
        return jax.tree.unflatten(self.structure, leaves)


def pose(apply_fn: ApplyFn, params: Params, masks: PackedMasks) -> SweepProblem:
    """Split a network by what its masks touch and put it on the device."""
    leaves, structure = jax.tree.flatten(params)
    where = tuple(plane is not None for plane in masks.planes)
    return SweepProblem(
        apply_fn=apply_fn,
        moving=[jnp.asarray(w) for w, m in zip(leaves, where, strict=True) if m],
        still=[jnp.asarray(w) for w, m in zip(leaves, where, strict=True) if not m],
        planes=[jnp.asarray(plane) for plane in masks.planes if plane is not None],
        where_moving=where,
        structure=structure,
        sparsity_count=len(masks.sparsities),
    )


def make_step(problem: SweepProblem, tangent_chunk: int) -> Callable[..., Measured]:
    """Make the function ``(moving, still, planes, images) -> Measured``.

    Parameters
    ----------
    problem
        Network and masks; only its structure is used, the arrays are arguments, since
        XLA would fold closed-over weights for minutes.
    tangent_chunk
        How many directions are pushed at once, at the memory of as many copies of the
        weights; best a divisor of the number of sparsities.
    """

    def step(moving: Any, still: Any, planes: Any, images: Array) -> Measured:
        indices = jnp.arange(problem.sparsity_count)

        def raw(moving_leaves: Any) -> Array:
            return problem.apply_fn(problem.params(moving_leaves, still), images)

        def unit_and_norm(moving_leaves: Any) -> tuple[Array, Array]:
            embedding = raw(moving_leaves)
            return unit(embedding), jnp.linalg.norm(embedding, axis=-1)

        def direction(index: Array) -> list[Array]:
            return [delta_at(w, p, index) for w, p in zip(moving, planes, strict=True)]

        dense, push, dense_norm = jax.linearize(unit_and_norm, moving, has_aux=True)
        jvps = jax.lax.map(
            lambda index: push(direction(index)), indices, batch_size=tangent_chunk
        )

        def pruned(index_and_jvp: tuple[Array, Array]) -> tuple[Any, Array]:
            index, jvp = index_and_jvp
            weights = [w + d for w, d in zip(moving, direction(index), strict=True)]
            embedding, norm = unit_and_norm(weights)
            return agreement(jvp, embedding - dense), norm

        compared, pruned_norm = jax.lax.map(pruned, (indices, jvps))
        return Measured(compared, dense_norm, pruned_norm)

    return step


def compile_step(
    problem: SweepProblem,
    batch_shape: tuple[int, ...],
    chunk: int,
    dtype: DTypeLike = np.float32,
) -> Any:
    """Compile the step for batches of one shape, ahead of time.

    Returns
    -------
    jax.stages.Compiled
        Call it with ``(moving, still, planes, images)``.
    """
    images = jax.ShapeDtypeStruct(batch_shape, dtype)
    with jax.default_matmul_precision(PRECISION):
        step = jax.jit(make_step(problem, chunk))
        return step.lower(
            problem.moving, problem.still, problem.planes, images
        ).compile(compiler_options=compiler_options())


def measure(
    compiled: Any, problem: SweepProblem, images: NDArray, batch_size: int
) -> Measured:
    """Run one batch, padded to the compiled size, and fetch its numbers.

    Parameters
    ----------
    compiled
        From :func:`compile_step`.
    problem
        Network and masks.
    images
        Preprocessed, shape (n, height, width, channels), 1 ≤ n ≤ ``batch_size``.
    batch_size
        What the step was compiled for.

    Returns
    -------
    Measured
        Of NumPy arrays for the n images, float64 as read from float32.
    """
    count = len(images)
    if count < batch_size:
        # Repeating a real image keeps every value finite where the network is.
        padding = np.repeat(images[-1:], batch_size - count, axis=0)
        images = np.concatenate([images, padding])
    result = compiled(problem.moving, problem.still, problem.planes, images)
    return jax.tree.map(lambda v: np.asarray(v, np.float64)[..., :count], result)
