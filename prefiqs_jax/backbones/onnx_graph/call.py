"""One evaluation of a node: its operands and attributes, with errors that name it."""

import dataclasses
from typing import Any

import numpy as np

from prefiqs_jax.backbones.onnx_graph.graph import Node
from prefiqs_jax.backbones.onnx_graph.values import Value, shape_of


@dataclasses.dataclass(frozen=True)
class Call:
    """What an operator is given.

    Attributes
    ----------
    node
        The node.
    operands
        Its inputs in order; None for one that is left out.
    dtype
        Of the network's arithmetic.
    image_count
        How many images are computed side by side (each sees a batch of one).
    """

    node: Node
    operands: tuple[Value | None, ...]
    dtype: Any
    image_count: int = 1

    @property
    def opset(self) -> int:
        """Version of the operator set."""
        return self.node.opset

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or what ONNX says for one that is left out.

        A default that is a float is rounded to float32, as a stored attribute is.
        """
        if isinstance(default, float):
            default = float(np.float32(default))
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

    def known(self, position: int) -> np.ndarray | None:
        """Return an input that must not depend on the image; None if left out."""
        value = self.optional(position)
        if value is not None and not isinstance(value, np.ndarray):
            why = (
                "has a shape or an index that depends on the image or on a weight; "
                "export it as a plain graph"
            )
            raise self.node.refusal(why)
        return value

    def integers(self, name: str, position: int) -> tuple[int, ...] | None:
        """Return numbers that are an attribute or, in later opsets, an input."""
        value = self.attribute(name)
        if value is None:
            array = self.known(position)
            if array is None:
                return None
            value = array.reshape(-1).tolist()
        return tuple(int(number) for number in np.atleast_1d(value).tolist())

    def axis(self, default: int, rank: int | None = None) -> int:
        """Return the attribute ``axis``, counted from the front."""
        rank = len(shape_of(self.operand(0))) if rank is None else rank
        return self.counted(int(self.attribute("axis", default)), rank)

    def counted(self, axis: int, rank: int) -> int:
        """Count an axis from the front."""
        if not -rank <= axis < rank:
            why = f"has axis {axis} of {rank}; export it again"
            raise self.node.refusal(why)
        return axis % rank
