"""The compiled heart of a sweep: all sparsities of one batch in one program.

Work of one batch at S sparsities is one dense forward pass, S tangent passes of two
forwards each (a layer's tangent is conv(ẋ, W) + conv(x, δ)) and S forward passes of
really pruned networks: 3 S + 1 forwards. The dense pass is linearised once and shared;
tangents run in chunks, batched; pruned networks are made from one bit a weight where
they are used. Only (S, batch) numbers leave the device.

On several devices the images of a batch are shared out over a mesh with the one axis
"batch", and every device holds the weights: the program of each is that of one device
alone, with no communication between them.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.execution.compilation import compiler_options, stored
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision, at_precision
from prefiqs_jax.execution.slices import in_slices
from prefiqs_jax.masks.packed import PackedMasks, delta_at
from prefiqs_jax.sensitivity import Agreement, agreement
from prefiqs_jax.sweep.directions import Change, direction_pass
from prefiqs_jax.sweep.extras import NONE, Extras, Tangents, dense_pass
from prefiqs_jax.sweep.network import Network
from prefiqs_jax.sweep.strategy import Strategy
from prefiqs_jax.types import ApplyFn, Params

AXIS = "batch"
"""Name of the axis of the mesh of devices."""


class Measured(NamedTuple):
    """What one batch gives; arrays of shape (sparsities, batch) unless stated."""

    compared: Agreement
    """First-order and real change."""
    dense_norm: Any
    """‖f(x; θ)‖ before normalisation, shape (batch,)."""
    pruned_norm: Any
    """‖f(x; θ + δ)‖ before normalisation."""
    extras: dict[str, Any]
    """Columns measured on request; those of tables have the shape (sparsities, labels,
    batch)."""


Weights: TypeAlias = Sequence[list[Array]]
"""Pruned leaves, fixed leaves and packed masks."""


@dataclasses.dataclass(frozen=True)
class SweepProblem:
    """A network and its masks; its leaves split into those pruned and those fixed.

    Attributes
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    pruned_leaves, fixed_leaves
        Leaves of the parameters that some mask prunes, and the others. Only the former
        are differentiated, so that no tangent runs through biases or BatchNorm scales.
    planes
        Packed masks of the pruned leaves.
    is_pruned
        For each leaf in tree order, whether some mask prunes it.
    structure
        Tree definition of the parameters.
    sparsity_count
        S.
    mesh
        Devices that share the images of a batch out.
    precision
        In which ``apply_fn`` takes its products.
    extras
        What is measured on request.
    """

    apply_fn: ApplyFn
    pruned_leaves: list[Array]
    fixed_leaves: list[Array]
    planes: list[Array]
    is_pruned: tuple[bool, ...]
    structure: Any
    sparsity_count: int
    mesh: Mesh
    precision: Precision
    extras: Extras = NONE

    @property
    def device_count(self) -> int:
        """Number of devices."""
        return self.mesh.devices.size

    @property
    def weights(self) -> tuple[list[Array], list[Array], list[Array]]:
        """Pruned leaves, fixed leaves and packed masks: arguments of a step."""
        return self.pruned_leaves, self.fixed_leaves, self.planes

    def params(self, pruned_leaves: list[Array], fixed_leaves: list[Array]) -> Params:
        """Put the leaves back into the tree."""
        pruned, fixed = iter(pruned_leaves), iter(fixed_leaves)
        leaves = [next(pruned if each else fixed) for each in self.is_pruned]
        return jax.tree.unflatten(self.structure, leaves)


def prepare(
    apply_fn: ApplyFn,
    params: Params,
    masks: PackedMasks,
    *,
    precision: Precision = DEFAULT_PRECISION,
    devices: Sequence[Any] | None = None,
    extras: Extras = NONE,
) -> SweepProblem:
    """Split a network's leaves by what its masks prune, and put them on the devices.

    Parameters
    ----------
    apply_fn, params, masks
        Network and masks.
    precision
        Precision of matmuls and convolutions, see
        :mod:`prefiqs_jax.execution.precision`.
    devices
        That share the batch out; None = all of this process.
    extras
        What is measured on request.
    """
    leaves, structure = jax.tree.flatten(params)
    where = tuple(plane is not None for plane in masks.planes)
    mesh = Mesh(np.array(devices or jax.local_devices()), (AXIS,))

    def put(arrays: Iterable[Any]) -> list[Array]:
        return [jax.device_put(array, NamedSharding(mesh, P())) for array in arrays]

    def cast(weights: Any) -> Any:
        real = np.issubdtype(np.asarray(weights).dtype, np.floating)
        wide = precision == "double" and real
        return np.asarray(weights, np.float64) if wide else weights

    leaves = [cast(leaf) for leaf in leaves]

    return SweepProblem(
        apply_fn=at_precision(apply_fn, precision),
        pruned_leaves=put(w for w, pruned in zip(leaves, where, strict=True) if pruned),
        fixed_leaves=put(
            w for w, pruned in zip(leaves, where, strict=True) if not pruned
        ),
        planes=put(cast(plane) for plane in masks.planes if plane is not None),
        is_pruned=where,
        structure=structure,
        sparsity_count=len(masks.sparsities),
        mesh=mesh,
        precision=precision,
        extras=extras,
    )


def make_step(problem: SweepProblem, strategy: Strategy) -> Callable[..., Measured]:
    """Make the step ``(pruned_leaves, fixed_leaves, planes, images) -> Measured``.

    Parameters
    ----------
    problem
        Network and masks; only its structure is used, the arrays are arguments, since
        XLA would fold closed-over weights for minutes.
    strategy
        How to go about it.
    """
    apply_fn, reverse_fn = problem.apply_fn, problem.extras.reverse_fn
    if reverse_fn is not None:
        reverse_fn = at_precision(reverse_fn, problem.precision)
    sliced = in_slices(apply_fn, strategy.slice_size)

    directed = bool(problem.extras.of_directions)

    def measure(
        apply_fn: ApplyFn, weights: Weights, images: Array
    ) -> tuple[Measured, Change | None]:
        leaves, fixed, planes = weights
        indices = jnp.arange(problem.sparsity_count)
        build = partial(problem.params, fixed_leaves=fixed)
        network = Network(apply_fn, leaves, build, images, reverse_fn)
        dense = dense_pass(problem.extras, network)
        known = map_chunks(
            lambda index: dense.tangents(delta_leaves(leaves, planes, index)),
            indices,
            strategy.tangent_chunk,
        )

        def compare(index_and_tangents: tuple[Array, Tangents]) -> tuple[Any, ...]:
            index, tangents = index_and_tangents
            pruned = dense.prune(delta_leaves(leaves, planes, index), tangents)
            compared = agreement(tangents.jvp, pruned.displacement)
            # Images last, as slices are joined.
            change = Change(tangents.jvp.T, pruned.displacement.T) if directed else None
            return compared, pruned.norm, pruned.columns, change

        compared, norm, columns, change = map_chunks(
            compare, (indices, known), strategy.pruned_chunk
        )
        return Measured(compared, dense.norm, norm, columns), change

    def directions(weights: Weights, images: Array, change: Change) -> dict[str, Array]:
        leaves, fixed, planes = weights
        build = partial(problem.params, fixed_leaves=fixed)
        network = Network(sliced, leaves, build, images, reverse_fn)
        of = direction_pass(problem.extras.of_directions, network)

        def at(index_and_change: tuple[Array, Change]) -> dict[str, Array]:
            index, own = index_and_change
            delta = delta_leaves(leaves, planes, index)
            return of(delta, Change(own.jvp.T, own.displacement.T), index)

        return jax.lax.map(at, (jnp.arange(problem.sparsity_count), change))

    def step(
        leaves: list[Array], fixed: list[Array], planes: list[Array], images: Array
    ) -> Measured:
        weights = leaves, fixed, planes
        if problem.extras.by_slice:
            # A series cannot be taken through a loop, nor kinks be found in one.
            each = in_slices(partial(measure, apply_fn), strategy.slice_size, axis=-1)
            found, change = each(weights, images)
        else:
            found, change = measure(sliced, weights, images)
        if change is not None:
            found.extras.update(directions(weights, images, change))
        return found

    return step


def delta_leaves(
    leaves: Sequence[Array], planes: Sequence[Array], index: Array
) -> list[Array]:
    """Make the pruning direction at one sparsity, of the pruned leaves."""
    both = list(zip(leaves, planes, strict=True))
    return stored(lambda: [delta_at(w, p, index) for w, p in both], index)


def map_chunks(function: Callable[..., Any], over: Any, size: int) -> Any:
    """Map over a leading axis, ``size`` at once; without ``vmap`` if one at a time."""
    return jax.lax.map(function, over, batch_size=size if size > 1 else None)


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
        Type of the images.

    Returns
    -------
    jax.stages.Compiled
        Call it with ``(*problem.weights, images)``.
    """
    step = make_step(problem, strategy)
    by_image: Any = P(None, AXIS)
    extras: Any = dict.fromkeys(problem.extras.columns, by_image)
    extras |= dict.fromkeys(problem.extras.lists, P(None, None, AXIS))
    if problem.device_count > 1:
        step = jax.shard_map(
            step,
            mesh=problem.mesh,
            in_specs=(P(), P(), P(), P(AXIS)),
            out_specs=Measured(by_image, P(AXIS), by_image, extras),
            # A loop's counter is the same on every device and its images are not: there
            # is nothing to check where no device ever talks to another.
            check_vma=False,
        )
    sharding = NamedSharding(problem.mesh, P(AXIS))
    images = jax.ShapeDtypeStruct(batch_shape, dtype, sharding=sharding)
    lowered = jax.jit(step).lower(*problem.weights, images)
    return lowered.compile(compiler_options=compiler_options(dtype))


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
        Its arrays are being computed; :func:`fetch` waits for them.
    """
    missing = batch_size - len(images)
    if missing:
        # Repeating a real image keeps every value finite where the network is.
        images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    images = images.astype(compiled.in_avals[0][-1].dtype, copy=False)
    placed = jax.device_put(images, NamedSharding(problem.mesh, P(AXIS)))
    return compiled(*problem.weights, placed)


def fetch(result: Measured, count: int) -> Measured:
    """Wait for a batch; its ``count`` images as NumPy arrays, float64 of float32."""
    return jax.tree.map(lambda v: np.asarray(v, np.float64)[..., :count], result)


def none_measured(sparsity_count: int, extras: Extras) -> Measured:
    """Give the numbers of no image."""
    nothing = np.zeros((sparsity_count, 0))
    columns: dict[str, NDArray] = dict.fromkeys(extras.columns, nothing)
    for name in extras.lists:
        labels = extras.labels[name.partition(".")[0]]
        columns[name] = np.zeros((sparsity_count, len(labels), 0))
    return Measured(Agreement(*[nothing] * 4), np.zeros(0), nothing, columns)
