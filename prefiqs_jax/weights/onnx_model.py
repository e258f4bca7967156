"""Open an ONNX file as plain records, and refuse what cannot be read safely."""

import dataclasses
import functools
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.floats import BFLOAT16
from prefiqs_jax.weights.onnx_scan import check_size
from prefiqs_jax.weights.wording import listed, naming, parsing, shown

INLINE = "save it whole: onnx.save(onnx.load('model.onnx'), 'whole.onnx')"


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
        Numbers, strings, arrays, or tuples of them, ONNX's own for those that the file
        leaves out. Floats are float32 numbers: 0.001 is 0.0010000000474974513, in
        whatever type the network then runs.
    opset
        Version of the operator set that gives the operator its meaning.
    """

    operator: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    opset: int = 0

    @property
    def epsilon(self) -> float | None:
        """The float32 number of a normalisation; None of another operator."""
        normalises = self.operator.endswith("Normalization")
        return self.attributes.get("epsilon") if normalises else None

    def refusal(self, why: str) -> InputError:
        """Make the error that names this node."""
        name = self.name or ", ".join(self.outputs[:1])
        return InputError(f"{shown(self.operator)} {shown(name)} {why}")


@dataclasses.dataclass(frozen=True)
class Model:
    """The network of a file: its ``onnx.GraphProto`` and its nodes in order.

    At least one node, and none with control flow; `opset` is the version of ONNX's own
    operators, 0 if the file states none; `budget` is how many bytes may be made of its
    constants.
    """

    graph: Any
    nodes: tuple[Node, ...]
    opset: int
    budget: int


def open_model(path: Path) -> Model:
    """Parse an ONNX file, without the data of other files.

    InputError if the file is damaged, holds no network, has control flow, or would
    unpack to far more than its size.
    """
    from onnx import ModelProto

    with naming(path), parsing(), open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_size(data)
        # Weights in other files are not looked for.
        model = ModelProto.FromString(file.read())
        if not model.graph.node:
            message = "holds no network; export it again"
            raise InputError(message)
        own = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        opset = max(own, default=0)
        nodes = tuple(_node(proto, opset) for proto in model.graph.node)
        # int4 to float32 is a factor of 8. A file may compute from a tensor many times.
        return Model(model.graph, nodes, opset, 16 * path.stat().st_size + 2**20)


def to_array(tensor: Any) -> np.ndarray:
    """Return the values of an ``onnx.TensorProto`` that the file itself holds.

    In the tensor's own shape and type, but bfloat16 as float32 and integers of 4 bits
    as 8 bits, since NumPy has neither. May be read-only. InputError if the values are
    in another file, not as many as the shape says, or of a type that has no place in a
    network's weights.
    """
    from onnx import TensorProto, numpy_helper

    name = shown(tensor.name)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        places = [e.value for e in tensor.external_data if e.key == "location"]
        message = f"keeps weights in another file ({listed(places)}); {INLINE}"
        raise InputError(message)
    # NumPy would take -1 for whatever fits.
    if any(size < 0 for size in tensor.dims):
        message = f"{name} has a negative size; export it again"
        raise InputError(message)
    kind = TensorProto.DataType.Name(tensor.data_type)
    if kind.startswith(("FLOAT8", "FLOAT6", "FLOAT4", "INT2", "UINT2", "COMPLEX")):
        message = f"{name} has the type {kind}; export it with float32 or int8 weights"
        raise InputError(message)
    array = numpy_helper.to_array(tensor)
    if kind == "BFLOAT16" and array.dtype.kind == "u":  # as onnx before 1.19 has it
        array = np.asarray(array, np.uint16).view(BFLOAT16)
    # Each onnx version has other NumPy types of its own for these.
    wanted = {"BFLOAT16": np.float32, "INT4": np.int8, "UINT4": np.int8}.get(kind)
    array = array if wanted is None else array.astype(wanted)
    return array.reshape(tensor.dims)


def _node(proto: Any, opset: int) -> Node:
    own = proto.domain in ("", "ai.onnx")
    defaults = _defaults(proto.op_type, opset) if own else {}
    stated = {a.name: _attribute(a, proto.op_type) for a in proto.attribute}
    return Node(
        operator=proto.op_type if own else f"{proto.domain}.{proto.op_type}",
        name=proto.name,
        inputs=_trimmed(proto.input),
        outputs=_trimmed(proto.output),
        attributes=defaults | stated,
        opset=opset,
    )


def _trimmed(names: Any) -> tuple[str, ...]:
    """Drop empty names at the end: as good as not there."""
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


@functools.cache
def _defaults(operator: str, opset: int) -> dict[str, Any]:
    """Return what ONNX says of the attributes of an operator that are left out."""
    from onnx import defs

    if not defs.has(operator):
        return {}
    # Some exporters use an operator before the version that has it.
    early = not defs.has(operator, opset, "")
    latest = defs.onnx_opset_version()
    schema = defs.get_schema(operator, latest if early else opset, "")
    stated = {name: each.default_value for name, each in schema.attributes.items()}
    return {
        name: _attribute(value, operator)
        for name, value in stated.items()
        if value.type and not value.HasField("t")
    }


def _attribute(proto: Any, operator: str) -> Any:
    from onnx import AttributeProto, helper

    value = helper.get_attribute_value(proto)
    match proto.type:
        case AttributeProto.GRAPH | AttributeProto.GRAPHS:
            message = (
                f"has control flow ({shown(operator)}), so its weights cannot be "
                "told; export it as a plain graph"
            )
            raise InputError(message)
        case AttributeProto.STRING:
            return value.decode("utf-8", "replace")
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return tuple(value)
        case AttributeProto.TENSOR:
            return to_array(value)
    return value
