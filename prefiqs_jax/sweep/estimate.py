"""How much memory a step takes, by an estimate that compiles nothing."""

import dataclasses
from typing import Any

import jax
from numpy.typing import DTypeLike

from prefiqs_jax.execution.slices import kept_bytes, operations
from prefiqs_jax.sweep.engine import SweepProblem

# Parameters, a pruned copy, a direction, and that transposed.
_COPIES = 4


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimated memory of a step, to start the search near its end."""

    weights: int
    """Bytes of the pruned leaves; a pruned copy and each direction take them again."""
    fixed: int
    residuals: int
    """Bytes that the linearised pass keeps for each image."""
    widest: int
    """Bytes of the widest activations of one image."""
    operations: int
    """Multiplications and additions in the products of one image."""

    @property
    def intensity(self) -> float:
        """Operations for each byte kept: low where it is memory-bound."""
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

    def raw(leaves: Any, images: Any) -> Any:
        return problem.apply_fn(problem.params(leaves, problem.fixed_leaves), images)

    one_image = jax.ShapeDtypeStruct((1, *image_shape), dtype)
    jaxpr = jax.make_jaxpr(raw)(problem.pruned_leaves, one_image).jaxpr
    activations = [
        var.aval
        for equation in jaxpr.eqns
        for var in equation.outvars
        if getattr(var.aval, "shape", ())[:1] == (1,)
    ]
    return Estimate(
        weights=sum(_bytes(w) for w in problem.pruned_leaves),
        fixed=sum(_bytes(w) for w in [*problem.fixed_leaves, *problem.planes]),
        residuals=kept_bytes(raw, problem.pruned_leaves, one_image),
        widest=max((_bytes(each) for each in activations), default=0),
        operations=operations(jaxpr),
    )


def _bytes(array: Any) -> int:
    return int(array.size) * array.dtype.itemsize
