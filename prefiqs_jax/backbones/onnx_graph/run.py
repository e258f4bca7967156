"""Evaluate a graph: node after node for one image, side by side for many."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.backbones.functional import as_stored
from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.graph import ImageInput
from prefiqs_jax.backbones.onnx_graph.leaves import Use
from prefiqs_jax.backbones.onnx_graph.operators.table import ON_KNOWN, OPERATORS
from prefiqs_jax.backbones.onnx_graph.values import (
    MAX_ELEMENTS,
    MAX_KNOWN,
    FeatureMap,
    Value,
    check_room,
    is_known,
    plain,
    shape_of,
)
from prefiqs_jax.errors import InputError
from prefiqs_jax.types import Params
from prefiqs_jax.weights.onnx_constants import Constants, check_budget
from prefiqs_jax.weights.onnx_model import Node
from prefiqs_jax.weights.wording import one_line

# What NumPy and JAX raise on shapes and types that do not go together.
MISFITS = (TypeError, ValueError, IndexError, KeyError, ArithmeticError)


@dataclasses.dataclass(frozen=True)
class Program:
    """A network without its weights: nodes in order, and constants that are no weights.

    ``uses`` maps (number of the node, number of its input) to where the weight is; the
    image goes in at ``image``, and ``output`` is the name of the embedding.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    uses: Mapping[tuple[int, int], Use]
    image: ImageInput
    output: str


def embed(program: Program, params: Params, statistics: Params, images: Any) -> Array:
    """Compute raw embeddings, shape (batch, dim).

    Each image runs through the graph as a batch of one, and JAX batches the operators.
    So a batch of one that an exporter wrote into the graph (``Reshape`` to 1×25088) is
    always right, and no operator can mix images.

    Parameters
    ----------
    program
        The network.
    params, statistics
        ``{scope: {leaf: array}}``; the statistics are cast to the type of the images.
    images
        Shape (batch, height, width, 3), floats of the type of `params`, in which all is
        computed. InputError for any other.
    """
    images = jnp.asarray(images)
    wanted = (*program.image.size, 3)
    if images.shape[1:] != wanted or not jnp.issubdtype(images.dtype, jnp.floating):
        message = (
            f"images are {images.dtype} of shape {images.shape}, but must be floats of "
            f"shape (batch, {wanted[0]}, {wanted[1]}, 3)"
        )
        raise InputError(message)
    stored = as_stored(statistics, images.dtype)
    trees = {"params": params, "statistics": stored}
    count = images.shape[0]
    return jax.vmap(lambda image: _run(program, trees, image[None], count)[0])(images)


def fold(known: Constants, budget: int) -> Constants:
    """Compute the nodes that depend on constants alone, within a budget of bytes.

    So a weight is what a layer consumes (W·c, say), not what the file stores.
    InputError if they take more, or a node does not fit its inputs.
    """
    values, makers = dict(known.values), dict(known.makers)
    kept = []
    for node in known.layers:
        constant = all(name in values for name in node.inputs if name)
        if not (constant and node.operator in ON_KNOWN):
            kept.append(node)
            continue
        operands = tuple(values[name] if name else None for name in node.inputs)
        for name, array in _evaluate(Call(node, operands, np.float32)).items():
            budget -= array.nbytes
            values[name], makers[name] = array, node
        check_budget(budget)
    return Constants(values, makers, tuple(kept))


def _evaluate(call: Call) -> dict[str, Any]:
    """Compute one node; return the values of its outputs by name."""
    node = call.node
    try:
        with np.errstate(all="ignore"):
            result = OPERATORS[node.operator](call)
    except InputError as error:
        # The node stands in front, unless the error has it.
        named = str(error).startswith(node.operator)
        raise (error if named else node.refusal(str(error))) from error
    except MISFITS as error:
        why = f"does not fit its inputs ({one_line(error)}); export it again"
        raise node.refusal(why) from error
    results = result if isinstance(result, tuple) else (result,)
    for value in results:
        limit = MAX_KNOWN if is_known(value) else MAX_ELEMENTS
        # Constants that were stored as large as this may be.
        sizes = [v.size for v in call.operands if isinstance(v, np.ndarray)]
        check_room(shape_of(value), max([limit, *sizes]))
    pairs = zip(node.outputs, results, strict=False)
    return {name: value for name, value in pairs if name}


def _run(program: Program, trees: Mapping[str, Any], image: Array, count: int) -> Array:
    """Run one image (1, height, width, 3) to its raw embedding (1, dim)."""
    values: dict[str, Value] = dict(program.constants)
    first = FeatureMap(image) if program.image.channels_first else image
    values[program.image.name] = first
    room = 16 * MAX_KNOWN
    for number, node in enumerate(program.nodes):
        operands = tuple(
            program.uses[number, position](trees)
            if (number, position) in program.uses
            else (values[name] if name else None)
            for position, name in enumerate(node.inputs)
        )
        outputs = _evaluate(Call(node, operands, image.dtype, count))
        values |= outputs
        room -= sum(v.size for v in outputs.values() if isinstance(v, np.ndarray))
        if room < 0:
            why = "computes shapes without end; export it again"
            raise node.refusal(why)
    result = plain(values[program.output])
    # (1, dim), or with axes of size 1 more or less, as an open Squeeze leaves them.
    if is_known(result) or not result.size or result.size > max((1, *result.shape)):
        message = (
            f"gives an output of shape {result.shape} for one image, but must give "
            "embeddings (1, dim); export the network alone"
        )
        raise InputError(message)
    return result.reshape(1, -1)
