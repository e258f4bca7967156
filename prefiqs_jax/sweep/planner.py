"""Choose batch and tangent chunk so that a sweep stays within a memory limit."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
from numpy.typing import DTypeLike

from prefiqs_jax.errors import InputError
from prefiqs_jax.sweep.engine import SweepProblem, compile_step

# Beyond these nothing measurable is gained. On a CPU larger chunks even lose: a chunk
# of 2 costs 28 forwards where one of 10 costs 34 (iResNet-18, batch 16, S = 10). And so
# the batches of a machine do not depend on how much memory happens to be free.
LARGEST_BATCH = {"cpu": 32}
LARGEST_BATCH_ELSEWHERE = 128
LARGEST_CHUNK = {"cpu": 2}
LARGEST_CHUNK_ELSEWHERE = 5
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a sweep runs.

    Attributes
    ----------
    batch_size
        Images in a batch.
    tangent_chunk
        Directions pushed at once; divides the number of sparsities.
    memory_limit_bytes
        What the plan must stay under.
    predicted_bytes
        Peak by the compiled program's own analysis, arguments included.
    compiled
        The program.
    """

    batch_size: int
    tangent_chunk: int
    memory_limit_bytes: int
    predicted_bytes: int
    compiled: Any = dataclasses.field(repr=False)


def plan_sweep(
    problem: SweepProblem,
    image_shape: tuple[int, ...],
    *,
    image_count: int,
    dtype: DTypeLike = np.float32,
    batch_size: int | None = None,
    memory_limit: int | None = None,
) -> Plan:
    """Choose batch and chunk by an estimate, then check them on the compiled program.

    Parameters
    ----------
    problem
        Network and masks.
    image_shape
        (height, width, channels).
    image_count
        Images of the whole run; no batch is larger.
    dtype
        Of the images.
    batch_size
        Fixed if given, else chosen.
    memory_limit
        Bytes; default is :func:`default_memory_limit`.

    Returns
    -------
    Plan
        With the compiled program. Its prediction is within the limit.

    Raises
    ------
    InputError
        If the smallest batch and chunk, or the given batch, do not fit.
    """
    limit = memory_limit or default_memory_limit()
    widest_chunk = LARGEST_CHUNK.get(jax.default_backend(), LARGEST_CHUNK_ELSEWHERE)
    batch = batch_size or default_batch_size(image_count)
    chunks = [c for c in range(widest_chunk, 0, -1) if problem.sparsity_count % c == 0]
    cost = _estimate(problem, image_shape, dtype)
    while True:
        fitting = [c for c in chunks if cost.peak(batch, c) <= limit]
        # Smaller chunks cost little, smaller batches more: give up batch last.
        if fitting or batch == 1 or batch_size:
            chunk = fitting[0] if fitting else 1
            compiled = compile_step(problem, (batch, *image_shape), chunk, dtype)
            predicted = peak_bytes(compiled)
            if predicted <= limit:
                return Plan(batch, chunk, limit, predicted, compiled)
            if chunk > 1:
                chunks = [c for c in chunks if c < chunk]
                continue
            if batch == 1 or batch_size:
                cure = "raise --memory-limit"
                if batch > 1:
                    cure = f"lower --batch-size or {cure}"
                message = (
                    f"a batch of {batch} needs {predicted / 1e9:.3g} GB, but the "
                    f"memory limit is {limit / 1e9:.3g} GB; {cure}"
                )
                raise InputError(message)
            chunks = [1]
        batch = max(1, batch // 2)


def default_batch_size(image_count: int) -> int:
    """Give the batch beyond which nothing is gained, at most all the images."""
    largest = LARGEST_BATCH.get(jax.default_backend(), LARGEST_BATCH_ELSEWHERE)
    return max(1, min(largest, image_count))


def peak_bytes(compiled: Any) -> int:
    """Read the peak from a compiled program: arguments, results and temporaries."""
    analysis = compiled.memory_analysis()
    return int(
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
    )


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
class _Cost:
    """Estimated memory of a step, to start the search near its end."""

    weights: int
    """Bytes of the moving weights; a pruned copy and each direction take them again."""
    fixed: int
    residuals: int
    """Bytes that the linearised pass keeps for each image."""
    widest: int
    """Bytes of the widest activations of one image."""

    def peak(self, batch: int, chunk: int) -> int:
        copies = 2 + 2 * chunk  # parameters, pruned copy; directions, and transposed
        live = self.residuals + 4 * self.widest * (chunk + 1)
        return self.fixed + copies * self.weights + batch * live


def _estimate(
    problem: SweepProblem, image_shape: tuple[int, ...], dtype: DTypeLike
) -> _Cost:
    def residuals(moving: Any, still: Any, images: Any) -> Any:
        def raw(m: Any) -> Any:
            return problem.apply_fn(problem.params(m, still), images)

        return jax.linearize(raw, moving)[1]

    def total(batch: int) -> int:
        images = jax.ShapeDtypeStruct((batch, *image_shape), dtype)
        kept = jax.eval_shape(residuals, problem.moving, problem.still, images)
        return sum(_bytes(leaf) for leaf in jax.tree.leaves(kept))

    def widest() -> int:
        images = jax.ShapeDtypeStruct((1, *image_shape), dtype)
        jaxpr = jax.make_jaxpr(
            lambda m, s, x: problem.apply_fn(problem.params(m, s), x)
        )(problem.moving, problem.still, images)
        shapes = [
            var.aval
            for equation in jaxpr.jaxpr.eqns
            for var in equation.outvars
            if getattr(var.aval, "shape", ())[:1] == (1,)
        ]
        return max((_bytes(shape) for shape in shapes), default=0)

    return _Cost(
        weights=sum(_bytes(w) for w in problem.moving),
        fixed=sum(_bytes(w) for w in [*problem.still, *problem.planes]),
        residuals=total(2) - total(1),
        widest=widest(),
    )


def _bytes(array: Any) -> int:
    return int(array.size) * array.dtype.itemsize
