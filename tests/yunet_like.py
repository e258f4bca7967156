"""A network with the inputs and outputs of YuNet that finds red squares.

Every cell of 8×8 pixels that is all red is a face of 8×8 pixels, whose five landmarks
lie where :data:`PLACES` says. So OpenCV's own detector runs, with nothing to download.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CELL = 8
PLACES = np.array(
    [[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [0.375, 0.75], [0.625, 0.75]]
)
"""Of the landmarks, in cells, from the cell's upper left corner."""

_OUTPUTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_STRIDES = (8, 16, 32)


def write_detector(path):
    """Write the ONNX file."""
    nodes, constants, outputs = [], [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(values, name))
        return name

    flat = constant("flat", np.array([1, -1, 3], np.int64))
    for stride in _STRIDES:
        size = [stride, stride]
        names = [f"{step}_{stride}" for step in ("input", "mean", "last", "cells")]
        nodes += [
            helper.make_node(
                "AveragePool", ["input"], [names[1]], kernel_shape=size, strides=size
            ),
            helper.make_node("Transpose", [names[1]], [names[2]], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [names[2], flat], [names[3]]),
        ]
    for kind, count in _OUTPUTS.items():
        for stride in _STRIDES:
            weight, bias = np.zeros((3, count)), np.zeros(count)
            if stride == CELL and count == 1:
                weight[:, 0] = np.array([-1, -1, 1]) / 255  # OpenCV's order is BGR
            if kind == "kps":
                bias[:] = PLACES.ravel()
            if kind == "bbox":
                bias[:2] = 0.5  # centre; the size is exp(0) cells
            name = f"{kind}_{stride}"
            w = constant(f"{name}_w", weight.astype(np.float32))
            b = constant(f"{name}_b", bias.astype(np.float32))
            nodes += [
                helper.make_node("MatMul", [f"cells_{stride}", w], [f"{name}_x"]),
                helper.make_node("Add", [f"{name}_x", b], [name]),
            ]
            outputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, count])
            )
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "red", [image], outputs, constants)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
