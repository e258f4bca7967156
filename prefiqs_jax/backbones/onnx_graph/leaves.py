"""From a graph's constants to named leaves, and from leaves to what nodes take."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefiqs_jax.backbones.onnx_graph.graph import Known, Node
from prefiqs_jax.backbones.onnx_graph.roles import Role, role
from prefiqs_jax.backbones.onnx_graph.scopes import scope_of
from prefiqs_jax.backbones.onnx_graph.views import (
    Steps,
    inverse,
    reshape,
    simplify,
    transpose,
    view,
)
from prefiqs_jax.weights.floats import as_float32


@dataclasses.dataclass(frozen=True)
class Use:
    """Where a node finds a weight: the leaf's place, and the steps to its input."""

    collection: str
    scope: str
    leaf: str
    steps: Steps

    @property
    def path(self) -> str:
        """Key of the leaf in `Leaves.tensors`."""
        return f"{self.collection}/{self.scope}/{self.leaf}"

    def __call__(self, trees: Mapping[str, Any]) -> Any:
        """Take the weight out of ``{"params": …, "statistics": …}``."""
        return view(trees[self.collection][self.scope][self.leaf], self.steps)


@dataclasses.dataclass(frozen=True)
class Leaves:
    """The weights of a network.

    Attributes
    ----------
    tensors
        ``params/SCOPE/LEAF`` or ``statistics/SCOPE/LEAF`` to float32 arrays.
    uses
        ``(number of the node, number of its input)`` to where the weight is.
    """

    tensors: dict[str, np.ndarray]
    uses: dict[tuple[int, int], Use]


@dataclasses.dataclass(frozen=True)
class _Stored:
    """A leaf that exists: its place, and the steps to it from the root tensor."""

    scope: str
    leaf: str
    steps: Steps


def collect(nodes: Sequence[Node], known: Known) -> Leaves:
    """Give every weight a name and its place.

    A tensor of the file is one leaf, however many nodes use it and whatever
    transpositions and reshapes stand between; only what is a statistic for one node
    and a parameter for another is both, since exporters merge tensors of equal values.

    Parameters
    ----------
    nodes
        That run, in order.
    known
        Constants of the graph.
    """
    origins = _origins(known)
    stored: dict[tuple[str, str], _Stored] = {}
    leaves = Leaves({}, {})
    for number, node in enumerate(nodes):
        for position, name in enumerate(node.inputs):
            if name not in known.values:
                continue
            found = role(node, position, known.values[name])
            if found is None:
                continue
            root, steps = origins[name]
            key = found.collection, root
            if key not in stored:
                stored[key] = _add(leaves.tensors, known, origins[name], found, node)
            leaf = stored[key]
            shape = known.values[root].shape
            way = inverse(leaf.steps, shape) + steps
            final = leaves.tensors[f"{found.collection}/{leaf.scope}/{leaf.leaf}"].shape
            leaves.uses[number, position] = Use(
                found.collection, leaf.scope, leaf.leaf, simplify(way, final)
            )
    return leaves


def _add(
    tensors: dict[str, np.ndarray],
    known: Known,
    origin: tuple[str, Steps],
    found: Role,
    node: Node,
) -> _Stored:
    root, steps = origin
    first = scope = scope_of(root, node)
    copies = 1
    while (path := f"{found.collection}/{scope}/{found.leaf}") in tensors:
        copies += 1
        scope = f"{first}_{copies}"
    values = known.values[root]
    way = simplify(steps + found.steps, values.shape)
    tensors[path] = np.ascontiguousarray(as_float32(view(values, way)))
    return _Stored(scope, found.leaf, way)


def _origins(known: Known) -> dict[str, tuple[str, Steps]]:
    """Find the tensor that each constant is a view of, and the steps to it.

    Two computations of one kind on the same inputs give one root: quantisers write one
    for each node that uses a weight.
    """
    origins: dict[str, tuple[str, Steps]] = {}
    made: dict[Any, str] = {}
    for name, array in known.values.items():
        node = known.makers.get(name)
        if node is None:
            origins[name] = (name, ())
            continue
        step = _step(node, array, known.values)
        if step is not None:
            root, steps = origins[node.inputs[0]]
            origins[name] = (root, steps + step)
            continue
        root = name
        if any(node.inputs):
            inputs = tuple(origins[i] if i else None for i in node.inputs)
            attributes = sorted((k, repr(v)) for k, v in node.attributes.items())
            # Split gives several.
            number = node.outputs.index(name)
            key = (node.operator, inputs, number, *attributes)
            root = made.setdefault(key, name)
        origins[name] = (root, ())
    return origins


def _step(
    node: Node, array: np.ndarray, values: Mapping[str, np.ndarray]
) -> Steps | None:
    """Return how a node views its input; None if it computes something new."""
    if not node.inputs or not node.inputs[0]:
        return None
    source = values[node.inputs[0]]
    match node.operator:
        case "Identity":
            return ()
        case "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten":
            return reshape(*array.shape)
        case "Expand" if array.size == source.size:
            return reshape(*array.shape)
        case "Transpose":
            axes = node.attributes.get("perm") or reversed(range(array.ndim))
            return transpose(*(axis % array.ndim for axis in axes))
        case "Cast" if source.dtype.kind == array.dtype.kind:
            # All become float32, so only a narrower type makes other values.
            kept = array.dtype.itemsize >= min(4, source.dtype.itemsize)
            return () if kept and array.dtype.kind == "f" else None
    return None
