"""Transpositions and reshapes of a weight, and the way back.

A mask wants a kernel with its outputs last; the graph wants it as the file has it. Both
are views of one tensor, so each can be computed from the other.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Step(NamedTuple):
    """Transposition by `numbers`, or reshape to `numbers`."""

    transposes: bool
    numbers: tuple[int, ...]


Steps = tuple[Step, ...]


def transpose(*axes: int) -> Steps:
    """Make the view that ``array.transpose(axes)`` gives."""
    return (Step(True, axes),)


def reshape(*shape: int) -> Steps:
    """Make the view that ``array.reshape(shape)`` gives; no size may be -1."""
    return (Step(False, shape),)


def view(array: Any, steps: Steps) -> Any:
    """Take the steps on a NumPy or JAX array.

    Examples
    --------
    >>> import numpy as np
    >>> view(np.zeros((4, 6)), transpose(1, 0) + reshape(3, 2, 4)).shape
    (3, 2, 4)
    """
    for transposes, numbers in steps:
        array = array.transpose(numbers) if transposes else array.reshape(numbers)
    return array


def inverse(steps: Steps, shape: Sequence[int]) -> Steps:
    """Return the way back to an array of a shape.

    Examples
    --------
    >>> steps = transpose(2, 0, 1)
    >>> inverse(steps, (4, 5, 6))
    (Step(transposes=True, numbers=(1, 2, 0)),)
    """
    back = []
    for step, before in zip(steps, _shapes(steps, shape), strict=False):
        numbers = np.argsort(step.numbers).tolist() if step.transposes else before
        back.append(Step(step.transposes, tuple(numbers)))
    return tuple(reversed(back))


def simplify(steps: Steps, shape: Sequence[int]) -> Steps:
    """Merge neighbours of one kind, and drop what changes nothing.

    Examples
    --------
    >>> there = transpose(2, 3, 1, 0)
    >>> simplify(there + inverse(there, (8, 4, 3, 3)), (8, 4, 3, 3))
    ()
    """
    merged: list[Step] = []
    for step in steps:
        if merged and merged[-1].transposes == step.transposes:
            first = merged.pop()
            if step.transposes:
                step = Step(True, tuple(first.numbers[i] for i in step.numbers))
        shapes = _shapes(tuple(merged), shape)
        before = shapes[-1]
        nothing = tuple(range(len(before))) if step.transposes else before
        if step.numbers != nothing:
            merged.append(step)
    return tuple(merged)


def _shapes(steps: Steps, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """List the shape before each step, and after the last."""

    def after(before: tuple[int, ...], step: Step) -> tuple[int, ...]:
        if step.transposes:
            return tuple(before[axis] for axis in step.numbers)
        assert math.prod(before) == math.prod(step.numbers)
        return step.numbers

    return list(itertools.accumulate(steps, after, initial=tuple(shape)))
