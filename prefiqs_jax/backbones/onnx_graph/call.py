"""One evaluation of a node: its operands and attributes, with errors that name it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.values import (
    MAX_ELEMENTS,
    MAX_KNOWN,
    Value,
    channels_last,
    check_room,
    is_known,
    lift,
    plain,
    shape_of,
)
from prefiqs_jax.weights.onnx_model import Node


@dataclasses.dataclass(frozen=True)
class Call:
    """What an operator is given: its node and its inputs in order, None if left out.

    ``dtype`` is the type of the network's arithmetic; ``image_count`` is how many
    images are computed side by side (each sees a batch of one).
    """

    node: Node
    operands: tuple[Value | None, ...]
    dtype: Any
    image_count: int = 1

    @property
    def is_known(self) -> bool:
        """Whether no operand depends on the image or on a weight."""
        return all(map(is_known, self.operands))

    @property
    def module(self) -> Any:
        """The module that computes: NumPy for known operands, otherwise JAX."""
        return np if self.is_known else jnp

    def require(self, condition: object, why: str) -> None:
        """Raise InputError that names the node if a condition does not hold."""
        if not condition:
            why = f"{why}; export it again"
            raise self.node.refusal(why)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute; the default is for those without one in ONNX."""
        return self.node.attributes.get(name, default)

    def optional(self, position: int) -> Value | None:
        """Return an input, or None if it is left out."""
        return self.operands[position] if position < len(self.operands) else None

    def operand(self, position: int) -> Value:
        """Return an input that must be there."""
        value = self.optional(position)
        if value is None:
            why = "lacks an input; export it again"
            raise self.node.refusal(why)
        return value

    def all_operands(self) -> list[Value]:
        """Return every input, none of which may be left out; at least one."""
        return [self.operand(i) for i in range(max(1, len(self.operands)))]

    def lifted(self, position: int) -> Any:
        """Return an input as an activation: a JAX array or a feature map."""
        return lift(self.operand(position), [], self.dtype)

    def array(self, position: int) -> Any:
        """Return an input as a JAX array with the axes of the file."""
        return plain(self.lifted(position))

    def feature_map(self, position: int = 0) -> tuple[Value, Any]:
        """Return an input, and its array with the channels at the end."""
        value = self.lifted(position)
        return value, channels_last(value)

    def channels(self, position: int, x: Any) -> Any:
        """Return one number per channel, to broadcast with an array (…, channels)."""
        return self.array(position).reshape((1,) * (x.ndim - 1) + (-1,))

    def known(self, position: int) -> np.ndarray | None:
        """Return an input that must not depend on the image; None if left out."""
        value = self.optional(position)
        if value is None or isinstance(value, np.ndarray):
            return value
        why = (
            "has a shape or an index that depends on the image or on a weight; "
            "export it as a plain graph"
        )
        raise self.node.refusal(why)

    def integers(
        self, name: str, position: int, default: Sequence[int] | None = None
    ) -> tuple[int, ...]:
        """Return numbers that are an attribute or, in later opsets, an input."""
        value = self.attribute(name)
        if value is None:
            array = self.known(position)
            value = default if array is None else array.reshape(-1)
        self.require(value is not None, f"has no {name}")
        return tuple(int(number) for number in np.atleast_1d(np.asarray(value)))

    def axis(self) -> int:
        """Return the attribute ``axis`` of the first input, counted from the front."""
        rank = len(shape_of(self.operand(0)))
        return self.counted(int(self.attribute("axis")), rank)

    def counted(self, axis: int, rank: int) -> int:
        """Count an axis from the front."""
        self.require(-rank <= axis < rank, f"has axis {axis} of {rank}")
        return axis % rank

    def room(self, shape: Sequence[int]) -> None:
        """Raise InputError for an output that no network has, before it is made."""
        check_room(shape, MAX_KNOWN if self.is_known else MAX_ELEMENTS)
