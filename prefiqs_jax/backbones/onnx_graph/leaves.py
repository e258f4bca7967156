"""From a graph's constants to named leaves, and from leaves to what nodes take.

A mask wants a kernel with its outputs last; the graph wants it as the file has it. Both
are transpositions and reshapes of one tensor, so each is computed from the other.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from prefiqs_jax.backbones.onnx_graph.scopes import scope_of
from prefiqs_jax.weights.floats import as_float32
from prefiqs_jax.weights.onnx_constants import Constants
from prefiqs_jax.weights.onnx_file import ARGUMENTS
from prefiqs_jax.weights.onnx_model import Node

# Methods of an array, transpose or reshape, with their numbers; no size may be -1.
Steps = tuple[tuple[str, tuple[int, ...]], ...]

NORMALISATIONS = frozenset(
    ("LayerNormalization", "InstanceNormalization", "GroupNormalization")
)


class Use(NamedTuple):
    """Where a node finds a weight: the leaf's path, and the steps to its input."""

    path: str
    steps: Steps

    def __call__(self, trees: Mapping[str, Any]) -> Any:
        """Take the weight out of ``{"params": …, "statistics": …}``."""
        collection, scope, leaf = self.path.split("/")
        return view(trees[collection][scope][leaf], self.steps)


class Role(NamedTuple):
    """A weight's place in the trees that masks and derivatives see.

    The leaf is called ``kernel`` (outputs last, so that it is pruned and its filters
    are found), ``bias``, ``scale``, ``slope``, ``mean``, ``var`` (one axis each) or
    ``table`` (any shape; never pruned); the steps lead to it from the input of the
    node.
    """

    leaf: str
    steps: Steps

    @property
    def collection(self) -> str:
        """``params``, or ``statistics``, which no mask and no derivative touches."""
        return "statistics" if self.leaf in ("mean", "var") else "params"


def collect(
    known: Constants,
) -> tuple[dict[str, np.ndarray], dict[tuple[int, int], Use]]:
    """Give every weight of the nodes that run a name and its place.

    A tensor of the file is one leaf, however many nodes use it and whatever
    transpositions and reshapes stand between; only what is a statistic for one node
    and a parameter for another is both, since exporters merge tensors of equal values.

    Returns
    -------
    tensors
        ``params/SCOPE/LEAF`` or ``statistics/SCOPE/LEAF`` to float32 arrays.
    uses
        ``(number of the node, number of its input)`` to where the weight is.
    """
    origins = _origins(known)
    stored: dict[tuple[str, str], tuple[str, Steps]] = {}
    tensors: dict[str, np.ndarray] = {}
    uses: dict[tuple[int, int], Use] = {}
    for number, node in enumerate(known.layers):
        for position, name in enumerate(node.inputs):
            array = known.values.get(name)
            found = None if array is None else role(node, position, array)
            if found is None:
                continue
            root, steps = origins[name]
            values, key = known.values[root], (found.collection, root)
            if key not in stored:
                path = _free(found, scope_of(root, node), tensors)
                stored[key] = path, steps + found.steps
                leaf = as_float32(view(values, steps + found.steps))
                tensors[path] = np.ascontiguousarray(leaf)
            path, way = stored[key]
            uses[number, position] = Use(path, _back(way, values.shape) + steps)
    return tensors, uses


def role(node: Node, position: int, array: np.ndarray) -> Role | None:
    """Tell what a constant is to the node that takes it; None = no weight."""
    if array.dtype.kind != "f" or not array.size:
        return None
    flat = (("reshape", (array.size,)),)
    axes = tuple(range(array.ndim))
    match node.operator, position:
        case "Conv", 1 if array.ndim >= 3:
            return Role("kernel", (("transpose", (*axes[2:], 1, 0)),))
        case (("Conv" | "Gemm"), 2):
            return Role("bias", flat)
        case "Gemm", 1 if array.ndim == 2:
            turned = node.attributes.get("transB", 0)
            return Role("kernel", (("transpose", (1, 0)),) if turned else ())
        case "MatMul", 0 if array.ndim >= 2:
            # On the left the outputs are rows.
            return Role("kernel", (("transpose", (*axes[:-2], *axes[:-3:-1])),))
        case "MatMul", 1 if array.ndim >= 2:
            return Role("kernel", ())
        case "BatchNormalization", 1 | 2 | 3 | 4:
            return Role(("scale", "bias", "mean", "var")[position - 1], flat)
        case operator, 1 | 2 if operator in NORMALISATIONS:
            return Role(("scale", "bias")[position - 1], flat)
        case "PRelu", 1:
            return Role("slope", flat)
    if array.size == 1 or (node.operator in ARGUMENTS and position):
        return None
    if array.size > max(array.shape):
        return Role("table", ())
    # One value for each channel, whatever axes of size 1 stand around it.
    return Role({"Add": "bias", "Mul": "scale"}.get(node.operator, "table"), flat)


def view(array: Any, steps: Steps) -> Any:
    """Take the steps on a NumPy or JAX array.

    >>> steps = ("transpose", (1, 0)), ("reshape", (3, 2, 4))
    >>> view(np.zeros((4, 6)), steps).shape
    (3, 2, 4)
    """
    for method, numbers in steps:
        array = getattr(array, method)(numbers)
    return array


def _back(steps: Steps, shape: tuple[int, ...]) -> Steps:
    """Return the way back to an array of a shape."""
    back: list[tuple[str, tuple[int, ...]]] = []
    for method, numbers in steps:
        if method == "reshape":
            back.append((method, shape))
            shape = numbers
        else:
            back.append((method, tuple(np.argsort(numbers).tolist())))
            shape = tuple(shape[axis] for axis in numbers)
    return tuple(reversed(back))


def _free(found: Role, scope: str, taken: Mapping[str, Any]) -> str:
    """Return a path for a leaf that no other has."""
    path = f"{found.collection}/{scope}/{found.leaf}"
    copies = 1
    while path in taken:
        copies += 1
        path = f"{found.collection}/{scope}_{copies}/{found.leaf}"
    return path


def _origins(known: Constants) -> dict[str, tuple[str, Steps]]:
    """Find the tensor that each constant is a view of, and the steps to it.

    Two computations of one kind on the same inputs give one root: quantisers write one
    for each node that uses a weight.
    """
    origins: dict[str, tuple[str, Steps]] = {"": ("", ())}
    made: dict[Any, str] = {}
    for name, array in known.values.items():
        node = known.makers.get(name)
        root, steps = name, ()
        if node is not None and any(node.inputs):
            taken = _step(node, array, known.values)
            if taken is not None:
                root, steps = origins[node.inputs[0]]
                steps += taken
            else:
                inputs = tuple(origins[i] for i in node.inputs)
                attributes = sorted((k, repr(v)) for k, v in node.attributes.items())
                # Split gives several.
                number = node.outputs.index(name)
                key = (node.operator, inputs, number, *attributes)
                root = made.setdefault(key, name)
        origins[name] = root, steps
    return origins


def _step(
    node: Node, array: np.ndarray, values: Mapping[str, np.ndarray]
) -> Steps | None:
    """Return how a node views its input; None if it computes something new."""
    if not node.inputs[0]:
        return None
    source = values[node.inputs[0]]
    match node.operator:
        case "Identity":
            return ()
        case "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten":
            return (("reshape", array.shape),)
        case "Expand" if array.size == source.size:
            return (("reshape", array.shape),)
        case "Transpose":
            axes = node.attributes.get("perm") or reversed(range(array.ndim))
            return (("transpose", tuple(axis % array.ndim for axis in axes)),)
        case "Cast" if source.dtype.kind == array.dtype.kind == "f":
            # All become float32, so only a narrower type makes other values.
            kept = array.dtype.itemsize >= min(4, source.dtype.itemsize)
            return () if kept else None
    return None
