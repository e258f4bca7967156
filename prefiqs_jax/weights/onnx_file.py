"""Read the weights of an ONNX network: the constants that its layers consume."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.onnx_constants import constants, memory_budget
from prefiqs_jax.weights.onnx_model import open_model
from prefiqs_jax.weights.wording import naming, parsing, shown

# What quantisers append to the name of a weight that they compute at run time.
SUFFIXES = ("_reshaped", "_dequantized", "_DequantizeLinear_Output", "_quantized")
# Their inputs after the first say how, not with what weights.
ARGUMENTS = frozenset(
    (
        *("Dropout", "Reshape", "Clip", "Pad", "Resize", "Slice", "Squeeze"),
        *("Unsqueeze", "Split", "Expand", "Tile", "ReduceMean", "ReduceSum"),
    )
)


class User(NamedTuple):
    """The node that takes a weight: its operator and what it states about it."""

    operator: str
    attributes: Mapping[str, Any]

    @property
    def epsilon(self) -> float | None:
        """The float32 number of a normalisation; None of another operator."""
        if not self.operator.endswith("Normalization"):
            return None
        # ONNX's own default where the node states none.
        return self.attributes.get("epsilon", float(np.float32(1e-5)))


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, User]]:
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
        Arrays in the order of use: floats as float32, integers as they are. The slopes
        of PReLU are (C,), in whatever form the file has them.
    ignored
        Constants that are no weights, and why.
    users
        Name of each tensor to the node that takes it.

    Raises
    ------
    InputError
        The file is damaged, keeps its weights in another file, has control flow, or
        would unpack to far more than its size.
    """
    graph = open_model(path).graph
    with naming(path), parsing():
        return _consumed(graph, memory_budget(path))


def _consumed(
    graph: Any, budget: int
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, User]]:
    from onnx import helper

    known = constants(graph, budget)
    values = dict(known.values)
    used: dict[str, None] = {}
    arguments: dict[str, str] = {}
    users: dict[str, User] = {}
    for node in known.layers:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        users |= dict.fromkeys(node.input, User(node.op_type, attributes))
        for position, name in enumerate(node.input):
            if name not in values:
                continue
            if position and node.op_type in ARGUMENTS:
                arguments[name] = f"argument of {node.op_type}, not a weight"
            else:
                used[name] = None
            if position and node.op_type == "PRelu":
                values[name] = _per_channel(values[name])
    parents = {
        name: tuple(parent for parent in node.input if parent)
        for name, node in known.makers.items()
    }
    plain = {name: _plain(name, parents) for name in used}
    return (
        _named(values, plain),
        _ignored(known.given, parents, used, arguments),
        {plain[name]: user for name, user in users.items() if name in plain},
    )


def _per_channel(slope: np.ndarray) -> np.ndarray:
    """Turn a slope of (C, 1, 1), as exporters write it for NCHW, to (C,)."""
    flat = slope.ndim > 1 and slope.size == slope.shape[0]
    return slope.reshape(-1) if flat else slope


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


def _plain(name: str, parents: dict[str, tuple[str, ...]]) -> str:
    # A file's own weight keeps its name, whatever it ends with.
    return plain_name(name) if parents.get(name) else name


def _named(
    values: dict[str, np.ndarray], names: dict[str, str]
) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for name, plain in names.items():
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
