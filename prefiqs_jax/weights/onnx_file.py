"""Read the weights of an ONNX network: the constants that its layers consume."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.onnx_fold import FOLDABLE, fold
from prefiqs_jax.weights.onnx_model import open_model
from prefiqs_jax.weights.onnx_tensor import to_array
from prefiqs_jax.weights.wording import listed, naming, parsing, shown

# What quantisers append to the name of a weight that they compute at run time.
SUFFIXES = ("_reshaped", "_dequantized", "_DequantizeLinear_Output", "_quantized")
# Their inputs after the first say how, not with what weights.
ARGUMENTS = frozenset(
    (
        *("Dropout", "Reshape", "Clip", "Pad", "Resize", "Slice", "Squeeze"),
        *("Unsqueeze", "Split", "Expand", "Tile", "ReduceMean", "ReduceSum"),
    )
)
# int4 to float32 is a factor of 8. A file may compute from one tensor many times.
MAX_GROWTH = 16


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the constants that the layers of an ONNX network consume.

    What the graph computes from constants alone (dequantisation, reshaping, casts,
    transposition) is computed here, and takes the name of the weight without the
    quantiser's suffixes. So a network and its quantised copy give the same names.

    Parameters
    ----------
    path
        A .onnx file with its weights inside.

    Returns
    -------
    tensors
        Arrays in the order of use: floats as float32, integers as they are.
    ignored
        Constants that are no weights, and why.

    Raises
    ------
    InputError
        The file is damaged, keeps its weights in another file, has control flow, or
        would unpack to far more than its size.
    """
    graph = open_model(path).graph
    with naming(path), parsing():
        budget = MAX_GROWTH * path.stat().st_size + 2**20
        return _consumed(graph, _initialisers(graph), budget)


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


def _consumed(
    graph: Any, initialisers: dict[str, np.ndarray], budget: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    values = dict(initialisers)
    parents: dict[str, tuple[str, ...]] = {}
    used: dict[str, None] = {}
    arguments: dict[str, str] = {}
    given = set(initialisers)
    for node in graph.node:
        inputs = [name for name in node.input if name]
        plain = node.op_type in FOLDABLE and node.domain in ("", "ai.onnx")
        if plain and len(node.output) == 1 and all(name in values for name in inputs):
            output = node.output[0]
            if output in values:
                message = f"computes {shown(output)} twice; export it again"
                raise InputError(message)
            # An input may be left out in the middle by an empty name.
            operands = [values[name] if name else None for name in node.input]
            array = fold(node, operands)
            if not any(np.may_share_memory(array, values[name]) for name in inputs):
                budget -= array.nbytes
            if budget < 0:
                message = "unpacks to far more than its size; export it again"
                raise InputError(message)
            values[output] = array
            parents[output] = tuple(inputs)
            if not inputs:
                given.add(output)
            continue
        for position, name in enumerate(node.input):
            if name not in values:
                continue
            if position and node.op_type in ARGUMENTS:
                arguments[name] = f"argument of {node.op_type}, not a weight"
            else:
                used[name] = None
    return _named(values, parents, used), _ignored(given, parents, used, arguments)


def plain_name(name: str) -> str:
    """Remove the suffixes that quantisers append to the name of a weight.

    Examples
    --------
    >>> plain_name("conv_1_conv2d_weight_reshaped")
    'conv_1_conv2d_weight'
    """
    while suffix := next((s for s in SUFFIXES if name.endswith(s) and name != s), ""):
        name = name.removesuffix(suffix)
    return name


def _named(
    values: dict[str, np.ndarray], parents: dict[str, tuple[str, ...]], used: dict
) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for name in used:
        # A file's own weight keeps its name, whatever it ends with.
        plain = plain_name(name) if parents.get(name) else name
        if plain in tensors:
            message = f"has two weights of the name {shown(plain)}; export it again"
            raise InputError(message)
        tensors[plain] = as_float32(values[name])
    return tensors


def _ignored(
    given: set[str],
    parents: dict[str, tuple[str, ...]],
    used: dict[str, None],
    arguments: dict[str, str],
) -> dict[str, str]:
    reasons = {name: why for name, why in arguments.items() if name not in used}
    # What a weight was computed from is used, too; outputs come after their inputs.
    reached = set(used)
    for output in reversed(parents):
        if output in reached:
            reached.update(parents[output])
    unused = sorted(given - reached - reasons.keys())
    return reasons | dict.fromkeys(unused, "no layer uses it")
