"""No network is loaded with a NaN or infinite weight, in whatever type the file has."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.errors import InputError

ONNX_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
BROKEN = [np.nan, np.inf, -np.inf]


def state():
    found = architecture("demo")
    entries = found.entries(found.blueprint.shapes)
    return {key: np.full(e.shape, 0.5, np.float32) for key, e in entries.items()}


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("name", ONNX_TYPES)
@pytest.mark.parametrize("form", [".safetensors", ".pth"])
def test_of_a_port(form, name, value, tmp_path):
    kind = np.dtype(getattr(ml_dtypes, name, name))
    tensors = state()
    tensors["fc.weight"][3, 1] = value
    path = tmp_path / f"net{form}"
    if form == ".pth":
        torch = pytest.importorskip("torch")
        dtype = getattr(torch, name)
        torch.save({k: torch.from_numpy(a).to(dtype) for k, a in tensors.items()}, path)
    else:
        save_file({k: a.astype(kind) for k, a in tensors.items()}, path)
    with pytest.raises(InputError, match=r"with NaN or infinite values \(fc\.weight\)"):
        load_backbone("demo", path)


def write(path, kernel, kind=TensorProto.FLOAT, table=None):
    made = [
        helper.make_node("Conv", ["x", "k"], ["c"], "conv", strides=[8, 8]),
        helper.make_node("Add", ["c", "t"], ["d"], "add"),
        helper.make_node("Flatten", ["d"], ["embedding"]),
    ]
    table = np.zeros((1, 2, 2, 2), np.float32) if table is None else table
    tensors = [
        helper.make_tensor("k", kind, kernel.shape, kernel.ravel()),
        helper.make_tensor("t", TensorProto.FLOAT, table.shape, table.ravel()),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)
    graph = helper.make_graph(made, "net", [image], [out], tensors)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("name", ONNX_TYPES)
def test_of_a_graph(name, value, tmp_path):
    kernel = np.ones((2, 3, 3, 3), np.float32)
    assert load_backbone("onnx", write(tmp_path / "whole.onnx", kernel)).params
    kernel[0, 1, 2, 0] = value
    path = write(tmp_path / "net.onnx", kernel, ONNX_TYPES[name])
    with pytest.raises(InputError, match=r"NaN or infinite values \(params/k/kernel\)"):
        load_backbone("onnx", path)


def test_infinities_of_a_table_may_be_a_mask(tmp_path):
    table = np.zeros((1, 2, 2, 2), np.float32)
    table[0, 0, 0, 1] = -np.inf
    kernel = np.ones((2, 3, 3, 3), np.float32)
    assert load_backbone("onnx", write(tmp_path / "net.onnx", kernel, table=table))
    table[0, 1, 1, 1] = np.nan
    path = write(tmp_path / "nan.onnx", kernel, table=table)
    with pytest.raises(InputError, match="params/t/table"):
        load_backbone("onnx", path)
