"""Where the image goes in, and where the embedding comes out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_constants import Constants
from prefiqs_jax.weights.wording import listed, shown

# The ArcFace template: what a network of any size is given.
USUAL_SIZE = 112


class ImageInput(NamedTuple):
    """The input of a network.

    Attributes
    ----------
    name
        As the graph calls it.
    size
        Height and width.
    channels_first
        Whether the file has (batch, 3, height, width), as all but TensorFlow's have.
    """

    name: str
    size: tuple[int, int]
    channels_first: bool


def image_input(graph: Any, known: Constants) -> ImageInput:
    """Find the one input that is an image.

    Parameters
    ----------
    graph
        An ``onnx.GraphProto``. Its list of inputs may have weights in it, too.
    known
        Its constants.

    Raises
    ------
    InputError
        There is none, or another input beside it, or its shape is no image's.
    """
    computed = {name for node in graph.node for name in node.output}
    used = {name for node in graph.node for name in node.input}
    inputs = [
        value
        for value in graph.input
        if value.name in used and value.name not in known.values.keys() | computed
    ]
    if len(inputs) != 1:
        found = ", ".join(f"{shown(i.name)} {_shown(_sizes(i))}" for i in inputs[:8])
        message = (
            f"has {len(inputs)} inputs ({found}), but must have one, the image; "
            "export the network alone"
        )
        raise InputError(message)
    sizes = _sizes(inputs[0])
    name = inputs[0].name
    if sizes is not None and len(sizes) == 4:
        for channels_first, axis in ((True, 1), (False, 3)):
            if sizes[axis] == 3:
                rows, columns = sizes[2:] if channels_first else sizes[1:3]
                size = (rows or USUAL_SIZE, columns or USUAL_SIZE)
                return ImageInput(name, size, channels_first)
    message = (
        f"takes {shown(name)} of shape {_shown(sizes)}, but must take images "
        "(batch, 3, height, width) or (batch, height, width, 3); export it with a shape"
    )
    raise InputError(message)


def embedding_output(graph: Any) -> str:
    """Find the one output that is a table of embeddings, of rank 2.

    Raises
    ------
    InputError
        There is none, or several.
    """
    sizes = {value.name: _sizes(value) for value in graph.output}
    if len(sizes) == 1:
        return next(iter(sizes))
    # AdaFace's networks give the norm, (batch, 1), too.
    fitting = [
        name
        for name, size in sizes.items()
        if size is None or (len(size) == 2 and size[1] != 1)
    ]
    if len(fitting) != 1:
        found = listed([f"{n} {_shown(s)}" for n, s in sizes.items()], 16)
        message = (
            f"has the outputs {found}, but must have one of shape (batch, dim), the "
            "embedding; export it with that alone"
        )
        raise InputError(message)
    return fitting[0]


def _sizes(value: Any) -> tuple[int, ...] | None:
    """Return a declared shape, 0 where a size is open; None if there is none."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(max(0, size.dim_value) for size in tensor.shape.dim)


def _shown(sizes: Sequence[int] | None) -> str:
    if sizes is None:
        return "unknown"
    return "(" + ", ".join(str(size or "?") for size in sizes[:8]) + ")"
