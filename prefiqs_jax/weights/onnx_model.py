"""Open an ONNX file: parse it, and refuse what cannot be read safely."""

import mmap
from pathlib import Path
from typing import Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_scan import check_size, field_table
from prefiqs_jax.weights.wording import naming, parsing, shown


def open_model(path: Path) -> Any:
    """Parse an ONNX file, without the data of other files.

    Parameters
    ----------
    path
        A .onnx file with its weights inside.

    Returns
    -------
    model
        An ``onnx.ModelProto`` with at least one node and no control flow.

    Raises
    ------
    InputError
        The file is damaged, holds no network, has control flow, or would unpack
        to far more than its size.
    """
    import onnx

    with naming(path), parsing():
        # Weights in other files are not looked for.
        model = onnx.ModelProto.FromString(_checked_bytes(path))
        if not model.graph.node:
            message = "holds no network; export it again"
            raise InputError(message)
        _refuse_control_flow(model.graph)
    return model


def _checked_bytes(path: Path) -> bytes:
    """Return the bytes of a file that protobuf can parse in bounded memory."""
    from onnx import ModelProto

    with open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_size(data, field_table(ModelProto.DESCRIPTOR))
        return file.read()


def _refuse_control_flow(graph: Any) -> None:
    from onnx import AttributeProto

    nested = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    for node in graph.node:
        if any(attribute.type in nested for attribute in node.attribute):
            message = (
                f"has control flow ({shown(node.op_type)}), so its weights cannot be "
                "told; export it as a plain graph"
            )
            raise InputError(message)
