"""Compute what an ONNX graph makes of its constants alone, in bounded memory."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_fold import FOLDABLE, fold
from prefiqs_jax.weights.onnx_tensor import to_array
from prefiqs_jax.weights.wording import listed, shown

# int4 to float32 is a factor of 8. A file may compute from one tensor many times.
MAX_GROWTH = 16


@dataclasses.dataclass(frozen=True)
class Constants:
    """What is known of a graph before any picture comes.

    Attributes
    ----------
    values
        Every constant by its name, in the order of the file.
    makers
        The node (``onnx.NodeProto``) that computes a constant; stored ones have none.
    layers
        The nodes that remain, in order.
    """

    values: dict[str, np.ndarray]
    makers: dict[str, Any]
    layers: tuple[Any, ...]

    @property
    def given(self) -> set[str]:
        """Names of constants that are computed from no other constant."""
        return {
            name
            for name in self.values
            if name not in self.makers or not any(self.makers[name].input)
        }


def memory_budget(path: Path) -> int:
    """Return how many bytes a file may make of its constants."""
    return MAX_GROWTH * path.stat().st_size + 2**20


def constants(graph: Any, budget: int) -> Constants:
    """Fold the nodes of `FOLDABLE` whose inputs are all constants.

    Parameters
    ----------
    graph
        An ``onnx.GraphProto``.
    budget
        Bytes that computed constants may take, as :func:`memory_budget` gives them.

    Raises
    ------
    InputError
        A constant is sparse, twice there, in another file, or they take more than the
        budget; or a node has inputs or attributes that its operator does not allow.
    """
    values = _initialisers(graph)
    makers: dict[str, Any] = {}
    layers = []
    for node in graph.node:
        inputs = [name for name in node.input if name]
        plain = node.op_type in FOLDABLE and node.domain in ("", "ai.onnx")
        known = all(name in values for name in inputs)
        if not (plain and known and len(node.output) == 1):
            layers.append(node)
            continue
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
        makers[output] = node
    return Constants(values, makers, tuple(layers))


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
