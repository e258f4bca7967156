"""Keep the devices busy with batches; take smaller steps where memory runs out."""

import dataclasses
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.memory import is_out_of_memory
from prefiqs_jax.sweep.engine import Measured, fetch, start
from prefiqs_jax.sweep.planner import Plan, Planner


@dataclasses.dataclass(frozen=True, eq=False)
class InFlight:
    """A batch that the devices are at work on."""

    images: NDArray
    """Kept until its numbers are here, in case they are wanted again."""
    plan: Plan
    steps: list[tuple[int, Measured]] | None
    """(images, arrays to come) of each step; None if memory ran out at once."""

    def is_ready(self) -> bool:
        """Tell whether the devices are done with it."""
        return self.steps is None or all(
            leaf.is_ready() for _, step in self.steps for leaf in jax.tree.leaves(step)
        )


class Executor:
    """The devices, and the plan by which they work.

    Parameters
    ----------
    planner
        Makes the first plan, at once, and the next one wherever memory runs out.

    Attributes
    ----------
    problem
        Network, masks and devices.
    plan
        As of now.
    """

    def __init__(self, planner: Planner):
        self._planner = planner
        self.problem = planner.problem
        self.plan = planner.plan()

    def start(self, images: NDArray) -> InFlight:
        """Hand a batch, shape (n ≥ 1, height, width, channels), to the devices."""
        plan = self.plan
        steps = []
        try:
            for first in range(0, len(images), plan.step_size):
                some = images[first : first + plan.step_size]
                result = start(plan.compiled, self.problem, some, plan.step_size)
                steps.append((len(some), result))
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return InFlight(images, plan, None)
        return InFlight(images, plan, steps)

    def finish(self, batch: InFlight) -> Measured:
        """Wait for a batch and fetch its numbers, arrays of shape (S, n) or (n,).

        Raises
        ------
        InputError
            If memory runs out even with one image a device.
        """
        while True:
            try:
                if batch.steps is not None:
                    parts = [fetch(step, count) for count, step in batch.steps]
                    return jax.tree.map(_joined, *parts)
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            if self.plan is batch.plan:  # else an earlier batch has seen to it
                self.plan = self._smaller(batch.plan)
            batch = self.start(batch.images)

    def _smaller(self, plan: Plan) -> Plan:
        devices = self.problem.device_count
        if plan.step_size <= devices:
            message = (
                "memory ran out with one image a device; use a device with more "
                "memory, or fewer sparsities"
            )
            raise InputError(message)
        per_device = plan.step_size // devices // 2
        self._planner.say(
            f"memory ran out with {plan.step_size} images at once; going on with "
            f"{per_device * devices}"
        )
        return self._planner.plan(per_device * devices)


def _joined(*arrays: Any) -> NDArray:
    return np.concatenate(arrays, axis=-1)
