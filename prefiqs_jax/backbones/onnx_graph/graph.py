"""What of an ONNX file is run: image, embedding, and the nodes between them.

Whatever cannot be run is said here, before anything is computed.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from prefiqs_jax.backbones.onnx_graph.operators.table import OPERATORS
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_constants import Constants, constants
from prefiqs_jax.weights.onnx_model import Model, Node
from prefiqs_jax.weights.wording import listed, shown

OLDEST_OPSET = 7
# A ResNet of 200 layers has 700 nodes, and tracing one takes about a millisecond.
MAX_NODES = 20_000
# The ArcFace template: what a network of any size is given.
USUAL_SIZE = 112


class ImageInput(NamedTuple):
    """The input of a network: its name in the graph, height and width, and layout.

    All files but TensorFlow's have (batch, 3, height, width), channels first.
    """

    name: str
    size: tuple[int, int]
    channels_first: bool


def select(model: Model) -> tuple[ImageInput, str, Constants]:
    """Find the image, the name of the embedding, and the nodes between them.

    The constants that are given have just these nodes as ``layers``. InputError if
    there is not one image or not one embedding, or nodes are too old, too many, out of
    order, or not read.
    """
    if model.opset < OLDEST_OPSET:
        message = (
            f"has operator set {model.opset}, but {OLDEST_OPSET} is the oldest that is "
            "read; convert it with onnx.version_converter.convert_version"
        )
        raise InputError(message)
    known = constants(model)
    image, output = _image_input(model, known), _embedding_output(model.graph)
    nodes = _needed(known.layers, output)
    _check_forms(nodes, output)
    _check_order(nodes, {image.name, *known.values}, output)
    return image, output, dataclasses.replace(known, layers=nodes)


def _image_input(model: Model, known: Constants) -> ImageInput:
    """Find the one input that is an image; weights may be listed as inputs, too."""
    made = {name for node in model.nodes for name in node.outputs} | {*known.values}
    used = {name for node in model.nodes for name in node.inputs} - made
    inputs = {v.name: _sizes(v) for v in model.graph.input if v.name in used}
    if len(inputs) != 1:
        message = (
            f"has {len(inputs)} inputs ({_listed(inputs, 8)}), but must have one, the "
            "image; export the network alone"
        )
        raise InputError(message)
    ((name, sizes),) = inputs.items()
    for channels_first, axis in ((True, 1), (False, 3)):
        if sizes is not None and len(sizes) == 4 and sizes[axis] == 3:
            rows, columns = sizes[2:] if channels_first else sizes[1:3]
            size = (rows or USUAL_SIZE, columns or USUAL_SIZE)
            return ImageInput(name, size, channels_first)
    message = (
        f"takes {shown(name)} of shape {_shown(sizes)}, but must take images "
        "(batch, 3, height, width) or (batch, height, width, 3); export it with a shape"
    )
    raise InputError(message)


def _embedding_output(graph: Any) -> str:
    """Find the one output that is a table of embeddings, of rank 2."""
    sizes = {value.name: _sizes(value) for value in graph.output}
    # AdaFace's networks give the norm, (batch, 1), too.
    fitting = [
        name
        for name, size in sizes.items()
        if len(sizes) == 1 or size is None or (len(size) == 2 and size[1] != 1)
    ]
    if len(fitting) != 1:
        message = (
            f"has the outputs {_listed(sizes, 16)}, but must have one of shape "
            "(batch, dim), the embedding; export it with that alone"
        )
        raise InputError(message)
    return fitting[0]


def _sizes(value: Any) -> tuple[int, ...] | None:
    """Return a declared shape, 0 where a size is open; None if there is none."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(max(0, size.dim_value) for size in tensor.shape.dim)


def _shown(sizes: Sequence[int] | None) -> str:
    if sizes is None:
        return "unknown"
    return "(" + ", ".join(str(size or "?") for size in sizes[:8]) + ")"


def _listed(values: dict[str, tuple[int, ...] | None], limit: int) -> str:
    return listed([f"{shown(n)} {_shown(sizes)}" for n, sizes in values.items()], limit)


def _needed(nodes: Sequence[Node], output: str) -> tuple[Node, ...]:
    """Drop the nodes that an output does not depend on."""
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


def _check_forms(nodes: Sequence[Node], output: str) -> None:
    """Raise InputError that lists every operator that cannot be computed."""
    wanted = {output} | {name for node in nodes for name in node.inputs}
    refused: Counter[str] = Counter()
    for node in nodes:
        why = _refusal(node, wanted)
        if why is not None:
            refused[f"{shown(node.operator)} {why}".rstrip()] += 1
    if refused:
        kinds = [f"{kind} ({count})" for kind, count in sorted(refused.items())]
        message = (
            f"has operators that are not read: {listed(kinds, len(kinds))}; export it "
            "with others, or add them to operators/table.py"
        )
        raise InputError(message)


def _refusal(node: Node, wanted: set[str]) -> str | None:
    """Say why a node cannot be computed: '' = unknown, None = it can."""
    if node.operator == "DequantizeLinear":
        return "of an activation"
    if node.operator not in OPERATORS:
        return ""
    if not any(node.outputs):
        return "without output"
    if node.operator == "BatchNormalization":
        # Before opset 14 the outputs tell.
        training = node.attributes.get("training_mode", 0) or len(node.outputs) > 1
        return "in training mode" if training else None
    if node.operator != "Split" and wanted.intersection(node.outputs[1:]):
        return "with a second output"
    return None


def _check_order(nodes: Sequence[Node], known: set[str], output: str) -> None:
    """Raise InputError if something is taken before, or without, being computed."""
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
