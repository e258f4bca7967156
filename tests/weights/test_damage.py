"""Damaged files of every format end in an InputError or load; nothing else escapes."""

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import store
from prefiqs_jax.weights.source import read_source

MUTATIONS = 200


def write_onnx(path):
    shapes = {"w_quantized": np.int8, "w_scales": np.float32, "w_zero_point": np.int8}
    weights = [
        numpy_helper.from_array(np.ones((2, 4), t), n) for n, t in shapes.items()
    ]
    weights.append(numpy_helper.from_array(np.array([4, -1]), "shape"))
    nodes = [
        helper.make_node(
            "DequantizeLinear", list(shapes), ["w_dequantized"], axis=1, block_size=1
        ),
        helper.make_node("Reshape", ["w_dequantized", "shape"], ["w_reshaped"]),
        helper.make_node("Cast", ["w_reshaped"], ["w"], to=TensorProto.FLOAT16),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "xy"]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    onnx.save(helper.make_model(graph, ir_version=10), path)


def write_safetensors(path):
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.arange(4)}
    store.save(path, arrays, {"architecture": "tiny"})


def write_torch(path, zipped):
    torch = pytest.importorskip("torch")
    state = {
        "a.weight": torch.ones(2, 3),
        "b": torch.arange(4),
        "c": torch.ones(2).half(),
    }
    loaded = {"state_dict": state, "epoch": 3}
    torch.save(loaded, path, _use_new_zipfile_serialization=zipped)


WRITERS = {
    "net.onnx": write_onnx,
    "net.safetensors": write_safetensors,
    "net.pth": lambda path: write_torch(path, zipped=True),
    "legacy.ckpt": lambda path: write_torch(path, zipped=False),
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return data[: rng.randrange(1, len(data))]
        case 1:
            return data + rng.randbytes(rng.randrange(1, 100))
        case 2:
            start = rng.randrange(len(data))
            return data[:start] + rng.randbytes(8) + data[start + 8 :]
    flipped = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_an_input_error_or_harmless(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    data = path.read_bytes()
    intact = read_source(path).tensors
    assert intact
    rng = random.Random(0)
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(damaged(data, rng))
        message, tensors = "", {}
        try:
            tensors = read_source(path).tensors
        except InputError as error:
            message = str(error)
            refused += 1
        assert not message or message.startswith(f"{path}: ")
        assert len(message.splitlines()) <= 1
        total = sum(array.nbytes for array in tensors.values())
        assert total <= 16 * path.stat().st_size + 2**20
    assert refused > MUTATIONS // 10
