"""Compute what a graph makes of its constants by any operator, while it is read."""

from collections.abc import Sequence

import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.graph import Known, Node
from prefiqs_jax.backbones.onnx_graph.operators.table import ON_KNOWN
from prefiqs_jax.backbones.onnx_graph.run import evaluate
from prefiqs_jax.errors import InputError


def fold_arithmetic(
    nodes: Sequence[Node], known: Known, budget: int
) -> tuple[tuple[Node, ...], Known]:
    """Compute the nodes that depend on constants alone.

    So a weight is what a layer consumes (W·c, say), not what the file stores.

    Parameters
    ----------
    nodes
        In order.
    known
        Constants of the graph so far.
    budget
        Bytes that the new ones may take.

    Returns
    -------
    nodes
        Those that remain.
    known
        With the new constants.

    Raises
    ------
    InputError
        They take more than the budget, or a node does not fit its inputs.
    """
    values, makers = dict(known.values), dict(known.makers)
    kept = []
    for node in nodes:
        constant = all(name in values for name in node.inputs if name)
        if not (constant and node.operator in ON_KNOWN):
            kept.append(node)
            continue
        operands = tuple(values[name] if name else None for name in node.inputs)
        for name, array in evaluate(Call(node, operands, np.float32)).items():
            budget -= array.nbytes
            values[name], makers[name] = array, node
        if budget < 0:
            message = "unpacks to far more than its size; export it again"
            raise InputError(message)
    return tuple(kept), Known(values, makers)
