"""How much memory a step takes, by estimate and by analysis, and how much there is."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import jax
import psutil
from numpy.typing import DTypeLike

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.slices import kept_bytes, operations
from prefiqs_jax.sweep.engine import SweepProblem
from prefiqs_jax.types import Params

UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}

# Parameters, a pruned copy, a direction, and that transposed.
_COPIES = 4


def peak_bytes(compiled: Any) -> int:
    """Read the peak from a compiled program: arguments, results and temporaries."""
    analysis = compiled.memory_analysis()
    return int(
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
    )


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether a device, or its compiler, ran out of memory."""
    return "RESOURCE_EXHAUSTED" in str(error)


def default_memory_limit() -> int:
    """Find out how much memory a sweep may take, in bytes.

    On an accelerator 80 % of what its allocator may use; on a CPU half of what is
    available, within the container's limit.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    if jax.default_backend() != "cpu" and "bytes_limit" in stats:
        return int(0.8 * stats["bytes_limit"])
    available = psutil.virtual_memory().available
    limit_file = Path("/sys/fs/cgroup/memory.max")
    if limit_file.is_file():
        text = limit_file.read_text().strip()
        if text.isdigit():
            available = min(available, int(text) - psutil.Process().memory_info().rss)
    return max(1, available // 2)


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


def parse_bytes(text: str) -> int:
    """Read an amount of memory.

    Raises
    ------
    InputError
        If it is no positive amount with a known unit.

    Examples
    --------
    >>> parse_bytes("8GB"), parse_bytes("1.5 GiB"), parse_bytes("4096")
    (8000000000, 1610612736, 4096)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if not found or found[2] not in UNITS or float(found[1]) == 0:
        message = f"memory limit {text!r} is not an amount such as 8GB or 500MiB"
        raise InputError(message)
    return int(float(found[1]) * UNITS[found[2]])


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
