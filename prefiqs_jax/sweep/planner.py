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
from prefiqs_jax.execution.memory import (
    default_memory_limit,
    is_out_of_memory,
    peak_bytes,
)
from prefiqs_jax.execution.slices import LARGEST_SLICE
from prefiqs_jax.sweep.engine import SweepProblem, compile_step
from prefiqs_jax.sweep.estimate import Estimate, estimate
from prefiqs_jax.sweep.strategy import Strategy, default_strategy, divisors
from prefiqs_jax.sweep.tuning import Candidate, Known, Tune, look_up, tune_step

# Beyond these nothing measurable is gained, and so the batches of a machine do not
# depend on how much memory happens to be free.
LARGEST_BATCH = {"cpu": 32}
LARGEST_BATCH_ELSEWHERE = 128
EVEN = {"cpu": range(4, LARGEST_SLICE + 1)}
"""Sizes of slices, by one of which the batch of each device can be cut."""
EVEN_ELSEWHERE = (4,)


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


@dataclasses.dataclass(frozen=True, eq=False)
class Planner:
    """What a sweep must do, from which plans are made: at first, and with less memory.

    Attributes
    ----------
    problem
        Network, masks and devices.
    image_shape
        (height, width, channels).
    image_count
        Images of the whole run; no batch is larger.
    dtype
        Type of the images.
    batch_size
        Fixed if given, else chosen.
    memory_limit
        Bytes; default is :func:`prefiqs_jax.execution.memory.default_memory_limit`.
    tune
        Whether to measure strategies, see :data:`prefiqs_jax.sweep.tuning.Tune`.
    say
        Gets a line before a measurement, and when memory has run out.
    """

    problem: SweepProblem
    image_shape: tuple[int, ...]
    image_count: int
    dtype: DTypeLike = np.float32
    batch_size: int | None = None
    memory_limit: int | None = None
    tune: Tune = "never"
    say: Callable[[str], None] = lambda _: None

    def plan(self, largest_step: int | None = None) -> Plan:
        """Choose a step by an estimate, check it on the program, measure others.

        Parameters
        ----------
        largest_step
            Take no larger steps, as after memory ran out.

        Returns
        -------
        Plan
            With the compiled program. Its prediction is within the limit.

        Raises
        ------
        InputError
            If even one image a device does not fit.
        """
        devices = self.problem.device_count
        limit = self.memory_limit or default_memory_limit()
        batch = self.batch_size or default_batch_size(self.image_count, devices)
        per_device = -(-batch // devices)
        if largest_step:
            per_device = min(per_device, largest_step // devices)
        cost = estimate(self.problem, self.image_shape, self.dtype)
        known = self._look_up(per_device)
        rule = default_strategy(self.problem.sparsity_count, per_device, cost.intensity)
        if self.problem.extras.names:
            # Directions one by one: what is measured on request takes their memory.
            rule = dataclasses.replace(rule, tangent_chunk=1)
        wanted = known.strategy if known else rule
        found = self._fitting(per_device, wanted, limit, cost)
        if found.per_device < per_device:
            known = self._look_up(found.per_device)
            if known:
                found = self._fitting(found.per_device, known.strategy, limit, cost)
        evidence: dict[str, Any] = {"source": "the rule for this backend"}
        if known and found.strategy == known.strategy:
            evidence = known.evidence
        elif self.tune != "never" and not self.problem.extras.names:
            found, evidence = self._tuned(found, limit)
        return Plan(
            batch,
            found.per_device * devices,
            found.strategy,
            evidence,
            limit,
            found.predicted_bytes or 0,
            found.compiled,
        )

    def _look_up(self, per_device: int) -> Known | None:
        if self.problem.extras.names:
            return None  # what is known is of sweeps without them
        return look_up(self.problem, (per_device, *self.image_shape), self.dtype)

    def _tuned(self, found: Candidate, limit: int) -> tuple[Candidate, dict[str, Any]]:
        """Measure what may be faster than a step that fits."""
        step = found.per_device * self.problem.device_count
        tuned = tune_step(
            self.problem,
            (found.per_device, *self.image_shape),
            self.dtype,
            found,
            steps=-(-self.image_count // step),
            compile_candidate=lambda strategy: self._candidate(
                found.per_device, strategy, limit
            ),
            always=self.tune == "always",
            say=self.say,
        )
        return tuned.candidate, tuned.evidence

    def _fitting(
        self, per_device: int, strategy: Strategy, limit: int, cost: Estimate
    ) -> Candidate:
        """Halve the step until its program fits; InputError at one image."""
        chunks = divisors(self.problem.sparsity_count, strategy.tangent_chunk)
        while True:
            # Smaller chunks cost little, smaller steps more: give up images last.
            for chunk in chunks:
                smallest = (per_device, chunk) == (1, 1)
                if cost.peak(per_device, chunk) > limit and not smallest:
                    continue
                chosen = dataclasses.replace(strategy, tangent_chunk=chunk)
                if strategy.slice_size and per_device % strategy.slice_size:
                    chosen = dataclasses.replace(chosen, slice_size=None)
                candidate = self._candidate(per_device, chosen, limit)
                if candidate.fits:
                    return candidate
                if smallest:
                    raise InputError(_too_large(candidate, limit))
            per_device = max(1, per_device // 2)

    def _candidate(self, per_device: int, strategy: Strategy, limit: int) -> Candidate:
        devices = self.problem.device_count
        shape = (per_device * devices, *self.image_shape)
        try:
            compiled = compile_step(self.problem, shape, strategy, self.dtype)
        except jax.errors.JaxRuntimeError as error:
            # Compilers try things out on a device.
            if not is_out_of_memory(error):
                raise
            return Candidate(strategy, per_device, None, None, fits=False)
        # Simulated devices of a CPU share the memory of the host.
        sharing = devices if jax.default_backend() == "cpu" else 1
        predicted = peak_bytes(compiled) * sharing
        return Candidate(strategy, per_device, compiled, predicted, predicted <= limit)


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
    A last batch of 4 would cost as much as one of 32: four batches of 25 do not.

    >>> default_batch_size(3), default_batch_size(32)
    (3, 32)
    >>> default_batch_size(100) if jax.default_backend() == "cpu" else 25
    25
    """
    largest = LARGEST_BATCH.get(jax.default_backend(), LARGEST_BATCH_ELSEWHERE)
    largest *= device_count
    rounds = max(1, -(-image_count // (largest * process_count)))
    even = max(1, -(-image_count // (rounds * process_count)))
    each = -(-even // device_count)
    slices = EVEN.get(jax.default_backend(), EVEN_ELSEWHERE)
    while all(each % size for size in slices):
        each += 1
    size = min(each * device_count, image_count)
    # Too few images to be generous: each process gets some.
    return size if -(-image_count // max(1, size)) >= process_count else even


def _too_large(candidate: Candidate, limit: int) -> str:
    if candidate.predicted_bytes is None:
        return "one image does not fit into the device's memory; use a larger device"
    return (
        f"one image needs {candidate.predicted_bytes / 1e9:.3g} GB, but the memory "
        f"limit is {limit / 1e9:.3g} GB; raise --memory-limit"
    )
