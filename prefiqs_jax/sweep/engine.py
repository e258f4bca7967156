"""The compiled heart of a sweep: all sparsities of one batch in one program.

Work of one batch at S sparsities is one dense forward pass, S tangent passes of two
forwards each (a layer's tangent is conv(ẋ, W) + conv(x, δ)) and S forward passes of
really pruned networks: 3 S + 1 forwards. The dense pass is linearised once and shared;
tangents run in chunks, batched; pruned networks are made from one bit a weight where
they are used. Only (S, batch) numbers leave the device.

On several devices the images of a batch are shared out over a mesh with the one axis
"batch", and every device holds the weights: the program of each is that of one device
alone, without a word to the others. Only weights that no device can hold are cut up,
too; the devices then pass them on to each other, layer by layer.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision, at_precision
from prefiqs_jax.execution.slices import in_slices
from prefiqs_jax.masks.packed import PackedMasks, delta_at
from prefiqs_jax.sensitivity import Agreement, agreement, unit
from prefiqs_jax.sweep.strategy import Strategy
from prefiqs_jax.types import ApplyFn, Params

AXIS = "batch"
"""Of the mesh of devices."""


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
    mesh
        Devices that share the images of a batch out.
    precision
        In which ``apply_fn`` takes its products.
    sharded
        Whether each device holds a part of the weights only.
    """

    apply_fn: ApplyFn
    moving: list[Array]
    still: list[Array]
    planes: list[Array]
    where_moving: tuple[bool, ...]
    structure: Any
    sparsity_count: int
    mesh: Mesh
    precision: Precision
    sharded: bool = False

    @property
    def device_count(self) -> int:
        """Number of devices."""
        return self.mesh.devices.size

    def params(self, moving: list[Array], still: list[Array]) -> Params:
        """Put the leaves back into the tree."""
        moving_leaves, still_leaves = iter(moving), iter(still)
        leaves = [
            next(moving_leaves if moves else still_leaves)
            for moves in self.where_moving
        ]
        return jax.tree.unflatten(self.structure, leaves)


def pose(
    apply_fn: ApplyFn,
    params: Params,
    masks: PackedMasks,
    *,
    precision: Precision = DEFAULT_PRECISION,
    devices: Sequence[Any] | None = None,
    sharded: bool = False,
) -> SweepProblem:
    """Split a network by what its masks touch and put it on the devices.

    Parameters
    ----------
    apply_fn, params, masks
        Network and masks.
    precision
        Of products, see :mod:`prefiqs_jax.execution.precision`.
    devices
        That share the batch out; None = all of this process.
    sharded
        Cut the weights up among the devices, instead of giving all to each.
    """
    leaves, structure = jax.tree.flatten(params)
    where = tuple(plane is not None for plane in masks.planes)
    mesh = Mesh(np.array(devices or jax.local_devices()), (AXIS,))

    def put(arrays: Any, first_axis: int = 0) -> list[Array]:
        return [
            jax.device_put(
                array,
                NamedSharding(
                    mesh, _cut(np.shape(array), first_axis, mesh) if sharded else P()
                ),
            )
            for array in arrays
        ]

    return SweepProblem(
        apply_fn=at_precision(apply_fn, precision),
        moving=put(w for w, moves in zip(leaves, where, strict=True) if moves),
        still=put(w for w, moves in zip(leaves, where, strict=True) if not moves),
        planes=put((plane for plane in masks.planes if plane is not None), 1),
        where_moving=where,
        structure=structure,
        sparsity_count=len(masks.sparsities),
        mesh=mesh,
        precision=precision,
        sharded=sharded,
    )


def _cut(shape: tuple[int, ...], first_axis: int, mesh: Mesh) -> P:
    """Cut an array along the longest axis that the devices divide, if there is one."""
    length = {
        axis: size
        for axis, size in enumerate(shape)
        if axis >= first_axis and size % mesh.devices.size == 0
    }
    if not length:
        return P()
    longest = max(length, key=length.__getitem__)
    return P(*(AXIS if axis == longest else None for axis in range(len(shape))))


def make_step(problem: SweepProblem, strategy: Strategy) -> Callable[..., Measured]:
    """Make the function ``(moving, still, planes, images) -> Measured`` of one device.

    Parameters
    ----------
    problem
        Network and masks; only its structure is used, the arrays are arguments, since
        XLA would fold closed-over weights for minutes.
    strategy
        How to go about it.
    """
    apply_fn = problem.apply_fn
    if strategy.slice_size:
        apply_fn = in_slices(apply_fn, strategy.slice_size)

    def step(moving: Any, still: Any, planes: Any, images: Array) -> Measured:
        indices = jnp.arange(problem.sparsity_count)

        def unit_and_norm(moving_leaves: Any) -> tuple[Array, Array]:
            embedding = apply_fn(problem.params(moving_leaves, still), images)
            return unit(embedding), jnp.linalg.norm(embedding, axis=-1)

        def direction(index: Array) -> list[Array]:
            return [delta_at(w, p, index) for w, p in zip(moving, planes, strict=True)]

        dense, push, dense_norm = jax.linearize(unit_and_norm, moving, has_aux=True)
        jvps = _map_chunks(
            lambda index: push(direction(index)), indices, strategy.tangent_chunk
        )

        def pruned(index_and_jvp: tuple[Array, Array]) -> tuple[Any, Array]:
            index, jvp = index_and_jvp
            weights = [w + d for w, d in zip(moving, direction(index), strict=True)]
            embedding, norm = unit_and_norm(weights)
            return agreement(jvp, embedding - dense), norm

        compared, pruned_norm = _map_chunks(
            pruned, (indices, jvps), strategy.pruned_chunk
        )
        return Measured(compared, dense_norm, pruned_norm)

    return step


def compile_step(
    problem: SweepProblem,
    batch_shape: tuple[int, ...],
    strategy: Strategy,
    dtype: DTypeLike = np.float32,
) -> Any:
    """Compile the step for batches of one shape, ahead of time.

    Parameters
    ----------
    problem
        Network, masks and devices.
    batch_shape
        (batch, height, width, channels); the devices must divide the batch.
    strategy
        How to go about it.
    dtype
        Of the images.

    Returns
    -------
    jax.stages.Compiled
        Call it with ``(moving, still, planes, images)``.
    """
    step = make_step(problem, strategy)
    by_image: Any = P(None, AXIS)
    if problem.device_count > 1 and not problem.sharded:
        step = jax.shard_map(
            step,
            mesh=problem.mesh,
            in_specs=(P(), P(), P(), P(AXIS)),
            out_specs=Measured(by_image, P(AXIS), by_image),
            # A loop's counter is the same on every device and its images are not: there
            # is nothing to check where no device ever talks to another.
            check_vma=False,
        )
    sharding = NamedSharding(problem.mesh, P(AXIS))
    images = jax.ShapeDtypeStruct(batch_shape, dtype, sharding=sharding)
    out = None
    if problem.sharded:  # the compiler spreads the work by where arrays are
        compared: Any = NamedSharding(problem.mesh, by_image)
        out = Measured(compared, sharding, compared)
    return (
        jax.jit(step, out_shardings=out)
        .lower(problem.moving, problem.still, problem.planes, images)
        .compile(compiler_options=compiler_options())
    )


def start(
    compiled: Any, problem: SweepProblem, images: NDArray, batch_size: int
) -> Measured:
    """Give the devices one batch, padded to the compiled size, and do not wait.

    Parameters
    ----------
    compiled
        From :func:`compile_step`.
    problem
        Network, masks and devices.
    images
        Preprocessed, shape (n, height, width, channels), 1 ≤ n ≤ ``batch_size``.
    batch_size
        What the step was compiled for.

    Returns
    -------
    Measured
        Of arrays that are being computed; :func:`fetch` waits for them.
    """
    missing = batch_size - len(images)
    if missing:
        # Repeating a real image keeps every value finite where the network is.
        images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    placed = jax.device_put(images, NamedSharding(problem.mesh, P(AXIS)))
    return compiled(problem.moving, problem.still, problem.planes, placed)


def fetch(result: Measured, count: int) -> Measured:
    """Wait for a batch; its ``count`` images as NumPy arrays, float64 of float32."""
    return jax.tree.map(lambda v: np.asarray(v, np.float64)[..., :count], result)


def _map_chunks(function: Callable[..., Any], over: Any, size: int) -> Any:
    """Map over a leading axis, ``size`` at once; without ``vmap`` if one at a time."""
    return jax.lax.map(function, over, batch_size=size if size > 1 else None)
