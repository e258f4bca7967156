"""Names for weights: those of the original network, as far as the file has them."""

import re

from prefiqs_jax.weights.onnx_file import plain_name
from prefiqs_jax.weights.onnx_model import Node

# What stands after a layer's name: which of its tensors it is.
TENSOR = re.compile(
    r"[./_](weights?|bias(es)?|kernel|gamma|beta|slope|alpha|scale|"
    r"((running|moving)_)?(mean|var|variance)|[WB])$",
    re.IGNORECASE,
)
# Names that exporters make up: 685, onnx::Conv_193, /fc/Constant_2_output_0, val_12.
MADE_UP = re.compile(
    r"\d+|onnx::\w+|.*Constant(_\d+)?|.*_output_\d+|(_v|v|val|const|t|_to_copy)_?\d+"
)
WIDTH = 80


def scope_of(name: str, node: Node) -> str:
    """Return the name of the layer that a weight belongs to.

    It is that of the constant, or, if an exporter made that up, of the first node that
    uses it: letters, digits, ``.``, ``_`` and ``-``, but not digits alone.

    >>> node = Node("Conv", "/layer1/layer1.0/conv1/Conv", (), ("y",), {}, 17)
    >>> scope_of("layer1.0.conv1.weight", node), scope_of("onnx::Conv_193", node)
    ('layer1.0.conv1', 'layer1.0.conv1')
    >>> scope_of("685", Node("Conv", "Conv_0", (), ("684",), {}, 11))
    'Conv_0'
    """
    name = plain_name(name)
    if is_made_up(name):
        name = _of_node(node)
    else:
        # TensorFlow appends its own: conv1/kernel/ReadVariableOp:0.
        name = re.sub(r"(/ReadVariableOp)?(:\d+)?$", "", name)
        name = TENSOR.sub("", name) or name
    scope = re.sub(r"[^A-Za-z0-9_.-]", "_", name.replace("/", ".")).strip(".")[:WIDTH]
    if not scope.strip("_.-"):
        scope = node.operator
    return f"{node.operator}_{scope}" if scope.isdigit() else scope


def is_made_up(name: str) -> bool:
    """Tell a constant's name that an exporter made up from one of the network.

    >>> is_made_up("onnx::Conv_193"), is_made_up("layer1.0.conv1.weight")
    (True, False)
    """
    return MADE_UP.fullmatch(plain_name(name)) is not None


def _of_node(node: Node) -> str:
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and re.fullmatch(
        rf"{re.escape(node.operator)}(_\d+)?", parts[-1]
    ):
        parts.pop()
    scope: list[str] = []
    for part in parts:
        # PyTorch writes layer1/layer1.0 for the first block of layer1.
        if scope and part.startswith(f"{scope[-1]}."):
            scope.pop()
        scope.append(part)
    return ".".join(scope) or f"{node.operator}_{node.outputs[0]}"
