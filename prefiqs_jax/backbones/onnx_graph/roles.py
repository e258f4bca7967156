"""What a constant is to the node that uses it: a kernel, a bias, a table, no weight."""

from typing import NamedTuple

import numpy as np

from prefiqs_jax.backbones.onnx_graph.graph import Node
from prefiqs_jax.backbones.onnx_graph.views import Steps, reshape, transpose

# Their inputs after the first say how, not with what weights.
ARGUMENTS = frozenset(
    (
        *("Dropout", "Reshape", "Clip", "Pad", "Slice", "Squeeze", "Unsqueeze"),
        *("Split", "Expand", "Tile", "Cast", "ConstantOfShape", "Range", "Shape"),
    )
)
NORMALISATIONS = frozenset(
    ("LayerNormalization", "InstanceNormalization", "GroupNormalization")
)


class Role(NamedTuple):
    """A weight's place in the trees that masks and derivatives see.

    Attributes
    ----------
    collection
        ``params``, or ``statistics``, which no mask and no derivative touches.
    leaf
        ``kernel`` (outputs last, so that it is pruned and its filters are found),
        ``bias``, ``scale``, ``slope``, ``mean``, ``var`` (one axis each) or ``table``
        (any shape; never pruned).
    steps
        From the input of the node to the leaf.
    """

    collection: str
    leaf: str
    steps: Steps


def role(node: Node, position: int, array: np.ndarray) -> Role | None:
    """Tell what a constant is to a node; None = a constant of the graph.

    Parameters
    ----------
    node, position
        The constant is its input of this number.
    array
        Its values.
    """
    if array.dtype.kind != "f" or not array.size:
        return None
    flat = reshape(array.size)
    axes = range(array.ndim)
    match node.operator, position:
        case "Conv", 1 if array.ndim >= 3:
            return Role("params", "kernel", transpose(*axes[2:], 1, 0))
        case ("Conv", 2) | ("Gemm", 2):
            return Role("params", "bias", flat)
        case "Gemm", 1 if array.ndim == 2:
            turned = bool(node.attributes.get("transB", 0))
            return Role("params", "kernel", transpose(1, 0) if turned else ())
        case "MatMul", 0 | 1 if array.ndim >= 2:
            # On the left the outputs are rows.
            swap = () if position else transpose(*axes[:-2], *reversed(axes[-2:]))
            return Role("params", "kernel", swap)
        case "BatchNormalization", 1 | 2 | 3 | 4:
            collection = "params" if position < 3 else "statistics"
            return Role(
                collection, ("scale", "bias", "mean", "var")[position - 1], flat
            )
        case operator, 1 | 2 if operator in NORMALISATIONS:
            return Role("params", ("scale", "bias")[position - 1], flat)
        case "PRelu", 1:
            return Role("params", "slope", flat)
        case operator, _ if array.size == 1 or (operator in ARGUMENTS and position):
            return None
        case operator, _:
            return _table(operator, array)


def _table(operator: str, array: np.ndarray) -> Role:
    if array.size > max(array.shape):
        return Role("params", "table", ())
    # One value for each channel, whatever axes of size 1 stand around it.
    leaf = {"Add": "bias", "Mul": "scale"}.get(operator, "table")
    return Role("params", leaf, reshape(array.size))
