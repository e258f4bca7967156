"""Choose batch, step and strategy so that a sweep is fast and stays within its memory.

Three sizes are told apart. A *batch* is what one part of a run holds: it belongs to the
run and never changes. A *step* is what the compiled program takes at once, on all
devices together: a batch, or a half or a quarter of it where memory is short. Within a
step, a :class:`Strategy` says how many directions and images go at a time.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from prefiqs_jax.errors import InputError
from prefiqs_jax.sweep.engine import SweepProblem, compile_step
from prefiqs_jax.sweep.memory import (
    Estimate,
    default_memory_limit,
    estimate,
    is_out_of_memory,
    peak_bytes,
)
from prefiqs_jax.sweep.strategy import Strategy, default_strategy, divisors
from prefiqs_jax.sweep.tuning import Candidate, Tune, look_up, tune_step

# Beyond these nothing measurable is gained, and so the batches of a machine do not
# depend on how much memory happens to be free.
LARGEST_BATCH = {"cpu": 32}
LARGEST_BATCH_ELSEWHERE = 128
EVEN = 4
"""A batch is a multiple of it on each device, so that it can be cut into slices."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a sweep runs.

    Attributes
    ----------
    batch_size
        Images in a batch.
    step_size
        Images that the program takes at once, on all devices; a batch goes through in
        one or more steps.
    strategy
        How the step goes about it.
    evidence
        Why this strategy, for run.json.
    memory_limit_bytes
        What the plan must stay under: of each device, or of the host if that computes.
    predicted_bytes
        Peak by the compiled program's own analysis, arguments included.
    compiled
        The program.
    """

    batch_size: int
    step_size: int
    strategy: Strategy
    evidence: dict[str, Any]
    memory_limit_bytes: int
    predicted_bytes: int
    compiled: Any = dataclasses.field(repr=False)

    def describe(self) -> dict[str, Any]:
        """Give the plan for run.json."""
        return {
            "step_size": self.step_size,
            "strategy": self.strategy.describe(),
            "strategy_evidence": self.evidence,
            "memory_limit_bytes": self.memory_limit_bytes,
            "predicted_peak_bytes": self.predicted_bytes,
        }


def plan_sweep(
    problem: SweepProblem,
    image_shape: tuple[int, ...],
    *,
    image_count: int,
    dtype: DTypeLike = np.float32,
    batch_size: int | None = None,
    memory_limit: int | None = None,
    largest_step: int | None = None,
    tune: Tune = "never",
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Choose a step by an estimate, check it on the compiled program, measure others.

    Parameters
    ----------
    problem
        Network, masks and devices.
    image_shape
        (height, width, channels).
    image_count
        Images of the whole run; no batch is larger.
    dtype
        Of the images.
    batch_size
        Fixed if given, else chosen.
    memory_limit
        Bytes; default is :func:`prefiqs_jax.sweep.memory.default_memory_limit`.
    largest_step
        Take no larger steps, as after memory ran out.
    tune
        Whether to measure strategies, see :data:`prefiqs_jax.sweep.tuning.Tune`.
    say
        Gets a line before a measurement.

    Returns
    -------
    Plan
        With the compiled program. Its prediction is within the limit.

    Raises
    ------
    InputError
        If even one image a device does not fit.
    """
    limit = memory_limit or default_memory_limit()
    batch = batch_size or default_batch_size(image_count, problem.device_count)
    per_device = -(-batch // problem.device_count)
    if largest_step:
        per_device = min(per_device, largest_step // problem.device_count)
    known = look_up(problem, (per_device, *image_shape), dtype)
    cost = estimate(problem, image_shape, dtype)
    wanted = (
        known.strategy
        if known
        else default_strategy(problem.sparsity_count, per_device, cost.intensity)
    )
    found = _fitting(problem, image_shape, dtype, per_device, wanted, limit, cost)
    if found.per_device < per_device:
        known = look_up(problem, (found.per_device, *image_shape), dtype)
        if known:
            found = _fitting(
                problem,
                image_shape,
                dtype,
                found.per_device,
                known.strategy,
                limit,
                cost,
            )
    per_device = found.per_device
    evidence: dict[str, Any] = {"source": "the rule for this backend"}
    if known and found.strategy == known.strategy:
        evidence = known.evidence
    elif tune != "never":
        steps = -(-image_count // (per_device * problem.device_count))
        tuned = tune_step(
            problem,
            (per_device, *image_shape),
            dtype,
            found,
            steps=steps,
            compile_candidate=lambda strategy: _candidate(
                problem, image_shape, dtype, per_device, strategy, limit
            ),
            always=tune == "always",
            say=say,
        )
        found, evidence = tuned.candidate, tuned.evidence
    return Plan(
        batch,
        per_device * problem.device_count,
        found.strategy,
        evidence,
        limit,
        found.predicted_bytes or 0,
        found.compiled,
    )


def default_batch_size(
    image_count: int, device_count: int = 1, process_count: int = 1
) -> int:
    """Give the batch that goes through all images in the fewest, fullest batches.

    Parameters
    ----------
    image_count
        Images of the whole run.
    device_count
        Devices of each process.
    process_count
        Processes that share the batches out, as many to each.

    Examples
    --------
    A last batch of 4 would cost as much as one of 32: four batches of 28 do not.

    >>> default_batch_size(3), default_batch_size(32)
    (3, 32)
    >>> default_batch_size(100) if jax.default_backend() == "cpu" else 28
    28
    """
    largest = LARGEST_BATCH.get(jax.default_backend(), LARGEST_BATCH_ELSEWHERE)
    largest *= device_count
    rounds = max(1, -(-image_count // (largest * process_count)))
    even = max(1, -(-image_count // (rounds * process_count)))
    grain = EVEN * device_count
    size = min(-(-even // grain) * grain, image_count)
    # Too few images to be generous: each process gets some.
    return size if -(-image_count // max(1, size)) >= process_count else even


def _fitting(
    problem: SweepProblem,
    image_shape: tuple[int, ...],
    dtype: DTypeLike,
    per_device: int,
    strategy: Strategy,
    limit: int,
    cost: Estimate,
) -> Candidate:
    """Halve the step until its program is within the limit; InputError at one image."""
    chunks = divisors(problem.sparsity_count, strategy.tangent_chunk)
    while True:
        # Smaller chunks cost little, smaller steps more: give up images last.
        for chunk in chunks:
            if cost.peak(per_device, chunk) > limit and (per_device, chunk) != (1, 1):
                continue
            chosen = dataclasses.replace(strategy, tangent_chunk=chunk)
            if strategy.slice_size and per_device % strategy.slice_size:
                chosen = dataclasses.replace(chosen, slice_size=None)
            candidate = _candidate(
                problem, image_shape, dtype, per_device, chosen, limit
            )
            if candidate.fits:
                return candidate
            if (per_device, chunk) == (1, 1):
                raise InputError(_too_large(candidate, limit))
        per_device = max(1, per_device // 2)


def _candidate(
    problem: SweepProblem,
    image_shape: tuple[int, ...],
    dtype: DTypeLike,
    per_device: int,
    strategy: Strategy,
    limit: int,
) -> Candidate:
    shape = (per_device * problem.device_count, *image_shape)
    try:
        compiled = compile_step(problem, shape, strategy, dtype)
    except jax.errors.JaxRuntimeError as error:  # compilers try things out on a device
        if not is_out_of_memory(error):
            raise
        return Candidate(strategy, per_device, None, None, fits=False)
    # Simulated devices of a CPU share the memory of the host.
    sharing = problem.device_count if jax.default_backend() == "cpu" else 1
    predicted = peak_bytes(compiled) * sharing
    return Candidate(strategy, per_device, compiled, predicted, predicted <= limit)


def _too_large(candidate: Candidate, limit: int) -> str:
    if candidate.predicted_bytes is None:
        return "one image does not fit into the device's memory; use a larger device"
    return (
        f"one image needs {candidate.predicted_bytes / 1e9:.3g} GB, but the memory "
        f"limit is {limit / 1e9:.3g} GB; raise --memory-limit"
    )
