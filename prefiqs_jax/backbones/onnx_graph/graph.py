"""An ONNX graph as plain records: the nodes that the embedding needs, in order."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_tensor import to_array
from prefiqs_jax.weights.wording import listed, shown

OLDEST_OPSET = 7
# A ResNet of 200 layers has 700 nodes, and tracing one takes about a millisecond.
MAX_NODES = 20_000


@dataclasses.dataclass(frozen=True)
class Node:
    """One operator with its connections.

    Attributes
    ----------
    operator
        Its type; with the domain in front (``com.microsoft.Gelu``) if it is not ONNX's
        own.
    name
        May be empty.
    inputs, outputs
        Names of values; an optional one that is left out is empty.
    attributes
        Numbers, strings, arrays, or tuples of them. Floats are the float32 of the
        file: 0.001 is 0.0010000000474974513, in whatever type the network then runs.
    opset
        Version of the operator set that gives the operator its meaning.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    def refusal(self, why: str) -> InputError:
        """Make the error that names this node."""
        return InputError(
            f"{shown(self.operator)} {shown(self.name or self.outputs[0])} {why}"
        )


@dataclasses.dataclass(frozen=True)
class Known:
    """Constants of a graph.

    Attributes
    ----------
    values
        Every one by its name, in the order of the file.
    makers
        The node that computes it; stored ones have none.
    """

    values: Mapping[str, np.ndarray]
    makers: Mapping[str, Node]


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operators; raise InputError if too old."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    opset = max(versions, default=0)
    if opset < OLDEST_OPSET:
        message = (
            f"has operator set {opset}, but {OLDEST_OPSET} is the oldest that is read; "
            "convert it with onnx.version_converter.convert_version"
        )
        raise InputError(message)
    return opset


def node_of(proto: Any, opset: int) -> Node:
    """Turn an ``onnx.NodeProto`` into a record."""
    own = proto.domain in ("", "ai.onnx")
    return Node(
        operator=proto.op_type if own else f"{proto.domain}.{proto.op_type}",
        name=proto.name,
        inputs=_trimmed(proto.input),
        outputs=_trimmed(proto.output),
        attributes={a.name: _attribute(a) for a in proto.attribute},
        opset=opset,
    )


def needed(nodes: Sequence[Node], output: str) -> tuple[Node, ...]:
    """Drop the nodes that an output does not depend on.

    Raises
    ------
    InputError
        There are more nodes than any network of the field has.
    """
    wanted, kept = {output}, []
    # Every node stands after those that it takes from.
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(name for name in node.inputs if name)
            kept.append(node)
    if len(kept) > MAX_NODES:
        message = f"has {len(kept)} nodes, but {MAX_NODES} are the most that are read"
        raise InputError(message)
    return tuple(reversed(kept))


def check_order(nodes: Sequence[Node], known: set[str], output: str) -> None:
    """Raise InputError if something is taken before, or without, being computed."""
    known = set(known)
    for node in nodes:
        absent = [name for name in node.inputs if name and name not in known]
        if absent:
            why = f"takes {listed(absent)} before it is computed; export it again"
            raise node.refusal(why)
        twice = [name for name in node.outputs if name and name in known]
        if twice:
            why = f"computes {listed(twice)} twice; export it again"
            raise node.refusal(why)
        known.update(name for name in node.outputs if name)
    if output not in known:
        message = f"computes no {shown(output)}, its output; export it again"
        raise InputError(message)


def _trimmed(names: Sequence[str]) -> tuple[str, ...]:
    """Drop empty names at the end: as good as not there."""
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


def _attribute(proto: Any) -> Any:
    from onnx import AttributeProto, helper

    value = helper.get_attribute_value(proto)
    match proto.type:
        case AttributeProto.STRING:
            return value.decode("utf-8", "replace")
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return tuple(value)
        case AttributeProto.TENSOR:
            return to_array(value)
    return value
