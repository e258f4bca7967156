"""Read a face-recognition network from an ONNX file as a pure function."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from prefiqs_jax.backbones.functional import unflatten
from prefiqs_jax.backbones.onnx_graph.graph import select
from prefiqs_jax.backbones.onnx_graph.leaves import collect
from prefiqs_jax.backbones.onnx_graph.run import Program, embed, fold
from prefiqs_jax.backbones.onnx_graph.traits import is_folded, scales_pixels
from prefiqs_jax.weights.onnx_model import Node, open_model
from prefiqs_jax.weights.wording import naming, parsing


@dataclasses.dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network as an ONNX file has it.

    Attributes
    ----------
    tensors
        ``params/SCOPE/LEAF`` or ``statistics/SCOPE/LEAF`` to float32 arrays: kernels
        with their outputs last, so that masks treat them as those of any backbone;
        everything with one value per channel with one axis; other learned constants
        as ``table``, which no mask prunes. A tensor that two nodes use is there once.
    uses, users
        Path of the tensor, and the node, at every use, in the order of the graph.
    apply
        ``(params, statistics, images) -> raw embeddings``: nested dicts of those
        arrays, images (batch, height, width, 3), result (batch, dim). Pure, image by
        image, in the type of its arguments (float32 or float64).
    input_size, embedding_dim
        Height and width of the images; length of an embedding.
    scales_pixels
        Whether the graph itself shifts and scales pixels, so that it takes 0 to 255.
    folded
        Whether the exporter has merged BatchNorms with the convolutions before them,
        so that their weights are not those that were trained; None = not known.
    """

    tensors: Mapping[str, np.ndarray]
    uses: tuple[str, ...]
    users: tuple[Node, ...]
    apply: Callable[[Any, Any, Any], Array]
    input_size: tuple[int, int]
    embedding_dim: int
    scales_pixels: bool
    folded: bool | None


def read_network(path: Path) -> OnnxNetwork:
    """Read an ONNX file with its weights inside.

    Parameters
    ----------
    path
        A .onnx file of opset 7 or later: one image in, one table of embeddings out.

    Raises
    ------
    InputError
        The file is damaged, has control flow, weights in another file, several inputs
        or outputs that may be meant, or operators that are not read: all of those are
        listed before anything is computed.
    """
    path = Path(path)
    model = open_model(path)
    with naming(path), parsing():
        image, output, known = select(model)
        known = fold(known, model.budget)
        nodes = known.layers
        tensors, uses = collect(known)
        taken = {
            name
            for number, node in enumerate(nodes)
            for position, name in enumerate(node.inputs)
            if name in known.values and (number, position) not in uses
        }
        fixed = {name: known.values[name] for name in taken}
        apply = functools.partial(embed, Program(nodes, fixed, uses, image, output))
        return OnnxNetwork(
            tensors=tensors,
            uses=tuple(use.path for use in uses.values()),
            users=tuple(nodes[number] for number, _ in uses),
            apply=apply,
            input_size=image.size,
            embedding_dim=_embedding_dim(apply, tensors, image.size),
            scales_pixels=scales_pixels(nodes, image.name),
            folded=is_folded(nodes, uses),
        )


def _embedding_dim(
    apply: Callable[..., Array],
    tensors: Mapping[str, np.ndarray],
    size: tuple[int, int],
) -> int:
    """Trace the network without computing it: every shape is checked on the way."""
    shapes = {
        path: jax.ShapeDtypeStruct(array.shape, np.float32)
        for path, array in tensors.items()
    }
    tree = {"params": {}, "statistics": {}} | unflatten(shapes)
    images = jax.ShapeDtypeStruct((2, *size, 3), np.float32)
    return jax.eval_shape(apply, tree["params"], tree["statistics"], images).shape[1]
