"""How much memory a step takes, by an estimate that compiles nothing."""

import dataclasses
from typing import Any

import jax
from numpy.typing import DTypeLike

from prefiqs_jax.execution.memory import default_memory_limit
from prefiqs_jax.execution.slices import kept_bytes, operations
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.sweep.engine import SweepProblem
from prefiqs_jax.types import Params

# Parameters, a pruned copy, a direction, and that transposed.
_COPIES = 4


def must_shard(
    params: Params, masks: PackedMasks, device_count: int, memory_limit: int | None
) -> bool:
    """Tell whether a device cannot hold the weights as often as one image needs them.

    Parameters
    ----------
    params, masks
        Network and masks.
    device_count
        Devices that could share the weights.
    memory_limit
        Bytes of a device, or of the host if that computes; None = found out.
    """
    if device_count == 1:
        return False
    limit = memory_limit or default_memory_limit()
    if jax.default_backend() == "cpu":
        limit //= device_count  # simulated devices share the host's memory
    leaves = zip(jax.tree.leaves(params), masks.planes, strict=True)
    return limit < sum(
        _bytes(leaf) if plane is None else _COPIES * _bytes(leaf) + _bytes(plane)
        for leaf, plane in leaves
    )


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimated memory of a step, to start the search near its end."""

    weights: int
    """Bytes of the moving weights; a pruned copy and each direction take them again."""
    fixed: int
    residuals: int
    """Bytes that the linearised pass keeps for each image."""
    widest: int
    """Bytes of the widest activations of one image."""
    operations: int
    """Multiplications and additions in the products of one image."""

    @property
    def intensity(self) -> float:
        """Operations for each byte kept: low where memory sets the pace."""
        return self.operations / max(1, self.residuals)

    def peak(self, batch: int, chunk: int) -> int:
        """Estimate the peak of a device with this many images and directions."""
        copies = _COPIES - 2 + 2 * chunk
        live = self.residuals + 4 * self.widest * (chunk + 1)
        return self.fixed + copies * self.weights + batch * live


def estimate(
    problem: SweepProblem, image_shape: tuple[int, ...], dtype: DTypeLike
) -> Estimate:
    """Estimate what a step of this problem takes, without compiling it."""

    def raw(moving: Any, images: Any) -> Any:
        return problem.apply_fn(problem.params(moving, problem.still), images)

    one_image = jax.ShapeDtypeStruct((1, *image_shape), dtype)
    jaxpr = jax.make_jaxpr(raw)(problem.moving, one_image).jaxpr
    activations = [
        var.aval
        for equation in jaxpr.eqns
        for var in equation.outvars
        if getattr(var.aval, "shape", ())[:1] == (1,)
    ]
    return Estimate(
        weights=sum(_bytes(w) for w in problem.moving),
        fixed=sum(_bytes(w) for w in [*problem.still, *problem.planes]),
        residuals=kept_bytes(raw, problem.moving, one_image),
        widest=max((_bytes(each) for each in activations), default=0),
        operations=operations(jaxpr),
    )


def _bytes(array: Any) -> int:
    return int(array.size) * array.dtype.itemsize
