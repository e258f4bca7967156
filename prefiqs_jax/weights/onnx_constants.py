"""Compute what an ONNX graph makes of its constants alone, in bounded memory."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_model import Model, Node, to_array
from prefiqs_jax.weights.wording import listed, shown

# Only what stands between a stored weight and its layer: each gives at most eight times
# the bytes of its inputs, so that no file can make much more of itself, as ``Expand``
# or ``ConstantOfShape`` would.
FOLDABLE = frozenset(
    (
        *("Constant", "Identity", "Cast", "Reshape", "Transpose"),
        *("Squeeze", "Unsqueeze", "DequantizeLinear"),
    )
)


@dataclasses.dataclass(frozen=True)
class Constants:
    """What is known of a graph before any image comes, in the order of the file.

    Every constant by its name; the node that computes it (stored ones have none); and
    the nodes that remain.
    """

    values: Mapping[str, np.ndarray]
    makers: Mapping[str, Node]
    layers: tuple[Node, ...]


def constants(model: Model) -> Constants:
    """Fold the nodes of `FOLDABLE` whose inputs are all constants.

    InputError if a constant is sparse, twice there, in another file, or they take more
    than the budget; or a node has inputs or attributes that its operator does not
    allow.
    """
    values, budget = _initialisers(model.graph), model.budget
    makers: dict[str, Node] = {}
    layers = []
    for node in model.nodes:
        inputs = [name for name in node.inputs if name]
        known = all(name in values for name in inputs)
        if not (node.operator in FOLDABLE and known and len(node.outputs) == 1):
            layers.append(node)
            continue
        output = node.outputs[0]
        if output in values:
            message = f"computes {shown(output)} twice; export it again"
            raise InputError(message)
        # An input may be left out in the middle by an empty name.
        array = _fold(node, [values[name] if name else None for name in node.inputs])
        if not any(np.may_share_memory(array, values[name]) for name in inputs):
            budget -= array.nbytes
        check_budget(budget)
        values[output] = array
        makers[output] = node
    return Constants(values, makers, tuple(layers))


def check_budget(left: int) -> None:
    """Raise InputError if constants take more bytes than a file may make of them."""
    if left < 0:
        message = "unpacks to far more than its size; export it again"
        raise InputError(message)


def _initialisers(graph: Any) -> dict[str, np.ndarray]:
    if graph.sparse_initializer:
        message = "has sparse initialisers; export it with dense weights"
        raise InputError(message)
    counts = Counter(tensor.name for tensor in graph.initializer)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        message = (
            f"has initialisers of the same name ({listed(twice)}); export it again"
        )
        raise InputError(message)
    return {tensor.name: to_array(tensor) for tensor in graph.initializer}


def _fold(node: Node, operands: Sequence[np.ndarray | None]) -> np.ndarray:
    """Return the output of one node of `FOLDABLE`; an operand left out is None."""
    attributes = node.attributes
    if node.operator == "Constant":
        return _constant(node)
    x, argument, zero = (*operands, None, None, None)[:3]
    if x is None:
        why = "lacks an input; export it again"
        raise node.refusal(why)
    axes = attributes.get("axes", argument)
    match node.operator:
        case "Identity":
            return x
        case "Cast":
            return _cast(node, x)
        case "Reshape" if argument is not None:
            sizes = [int(size) for size in argument.reshape(-1)]
            if not attributes.get("allowzero"):
                sizes = [n if n else x.shape[i] for i, n in enumerate(sizes)]
            return x.reshape(sizes)
        case "Transpose":
            return x.transpose(attributes.get("perm"))
        case "Squeeze":
            return x.squeeze(None if axes is None else tuple(int(a) for a in axes))
        case "Unsqueeze" if axes is not None:
            return np.expand_dims(x, tuple(int(a) for a in axes))
        case "DequantizeLinear" if argument is not None:
            if attributes.get("output_dtype"):
                why = "has the attribute output_dtype; export it again"
                raise node.refusal(why)
            return _dequantise(node, x, argument, zero)
    why = "lacks an input; export it again"
    raise node.refusal(why)


def _constant(node: Node) -> np.ndarray:
    for name, value in node.attributes.items():
        if name == "value" or name.startswith("value_"):
            kinds = {"value_float": np.float32, "value_int": np.int64}
            return np.asarray(value, kinds.get(name.removesuffix("s")))
    why = "has no dense value; export it again"
    raise node.refusal(why)


def _cast(node: Node, x: np.ndarray) -> np.ndarray:
    from onnx import helper

    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(node.attributes["to"]))
    # Each onnx version has other NumPy types of its own for what NumPy lacks.
    if dtype.kind not in "biuf" or dtype.isbuiltin != 1:
        why = f"casts to {shown(dtype)}; export it again"
        raise node.refusal(why)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _dequantise(
    node: Node, x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray | None
) -> np.ndarray:
    """Return (x - zero_point) · scale, computed in float32, in the type of the scale.

    Scale and zero point are one value for the whole tensor, a vector along the node's
    axis, or, with a block size, one value for each block along it.
    """
    axis = node.attributes.get("axis", 1)
    block_size = node.attributes.get("block_size", 0)
    whole = scale.size == 1 and not block_size
    zero = np.zeros(scale.shape, x.dtype) if zero_point is None else zero_point
    inside = -x.ndim <= axis < x.ndim
    axis, size = (axis % x.ndim, x.shape[axis]) if inside else (0, 0)
    # A block longer than the axis is that long only on paper.
    block = max(1, min(block_size, size))
    blocks = (*x.shape[:axis], -(-size // block), *x.shape[axis + 1 :])
    fits = inside and block_size >= 0
    fits = fits and scale.shape == (blocks if block_size else (size,))
    if zero.shape != scale.shape or not (whole or fits):
        why = "has a scale and a weight that do not fit; export it again"
        raise node.refusal(why)

    def spread(values: np.ndarray) -> np.ndarray:
        if whole:
            return values.reshape(())
        if not block_size:
            return values.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        return np.repeat(values, block, axis)[(slice(None),) * axis + (slice(size),)]

    # Exact in int32; the difference of two int8 does not fit into int8.
    difference = x.astype(np.int32) - spread(zero.astype(np.int32))
    with np.errstate(all="ignore"):
        values = difference.astype(np.float32) * spread(scale.astype(np.float32))
        return values.astype(scale.dtype, copy=False)
