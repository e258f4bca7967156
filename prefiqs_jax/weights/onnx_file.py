"""Read the weights of an ONNX network: the constants that its layers consume."""

from pathlib import Path
from typing import TypeAlias

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.onnx_constants import Constants, constants
from prefiqs_jax.weights.onnx_model import Node, open_model
from prefiqs_jax.weights.wording import naming, parsing, shown

User: TypeAlias = Node
"""The node that takes a weight: its operator and what it states about it."""

# What quantisers append to the name of a weight that they compute at run time.
SUFFIXES = ("_reshaped", "_dequantized", "_DequantizeLinear_Output", "_quantized")
# Their inputs after the first say how, not with what weights.
ARGUMENTS = frozenset(
    (
        *("Dropout", "Reshape", "Clip", "Pad", "Resize", "Slice", "Squeeze"),
        *("Unsqueeze", "Split", "Expand", "Tile", "ReduceMean", "ReduceSum"),
        *("Cast", "ConstantOfShape", "Range", "Shape"),
    )
)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, User]]:
    """Read the constants that the layers of an ONNX network consume.

    What the graph computes from constants alone (dequantisation, reshaping, casts,
    transposition) is computed here, and takes the name of the weight without the
    quantiser's suffixes. So a network and its quantised copy give the same names.

    Gives the arrays in the order of use, floats as float32, integers as they are, the
    slopes of PReLU (C,), in whatever form the file has them; the constants that are no
    weights, and why; and the node that takes each array. InputError if the file is
    damaged, keeps its weights in another file, has control flow, or would unpack to far
    more than its size.
    """
    model = open_model(path)
    with naming(path), parsing():
        known = constants(model)
        used: dict[str, Node] = {}
        arguments: dict[str, str] = {}
        for node in known.layers:
            for position, name in enumerate(node.inputs):
                if name in known.values and position and node.operator in ARGUMENTS:
                    arguments[name] = f"argument of {node.operator}, not a weight"
                elif name in known.values:
                    used[name] = node
        tensors, users = {}, {}
        for name, node in used.items():
            plain = plain_name(name) if _is_computed(name, known) else name
            if plain in tensors:
                message = f"has two weights of the name {shown(plain)}; export it again"
                raise InputError(message)
            array = as_float32(known.values[name])
            # Exporters write (C, 1, 1) for NCHW.
            slope = node.operator == "PRelu" and array.shape[:1] == (array.size,)
            tensors[plain] = array.reshape(-1) if slope else array
            users[plain] = node
        return tensors, _ignored(known, used, arguments), users


def plain_name(name: str) -> str:
    """Remove the suffixes that quantisers append to the name of a weight.

    >>> plain_name("conv_1_conv2d_weight_reshaped")
    'conv_1_conv2d_weight'
    """
    while suffix := next((s for s in SUFFIXES if name.endswith(s) and name != s), ""):
        name = name.removesuffix(suffix)
    return name


def _is_computed(name: str, known: Constants) -> bool:
    """Tell what is computed from another constant; the file's own keeps its name."""
    return name in known.makers and any(known.makers[name].inputs)


def _ignored(
    known: Constants, used: dict[str, Node], arguments: dict[str, str]
) -> dict[str, str]:
    reasons = {name: why for name, why in arguments.items() if name not in used}
    # What a weight was computed from is used, too; outputs come after their inputs.
    reached = set(used)
    for output in reversed(tuple(known.makers)):
        if output in reached:
            reached.update(known.makers[output].inputs)
    given = {name for name in known.values if not _is_computed(name, known)}
    unused = sorted(given - reached - reasons.keys())
    return reasons | dict.fromkeys(unused, "no layer uses it")
