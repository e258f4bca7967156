"""Damaged graphs end in an InputError or load; nothing else escapes."""

import random

import numpy as np
import pytest

from prefiqs_jax.backbones.onnx_graph import read_network
from prefiqs_jax.errors import InputError

MUTATIONS = 300
RNG = np.random.default_rng(3)


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


NODES = [
    ("Sub", "x mean", "s"),
    ("Conv", "s conv.weight", "c", {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("BatchNormalization", "c g b m v", "n", {"epsilon": 1e-3}),
    ("PRelu", "n a", "p"),
    ("MaxPool", "p", "q", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    ("Shape", "q", "size"),
    ("Gather", "size zero", "batch", {"axis": 0}),
    ("Unsqueeze", "batch axes", "row"),
    ("Concat", "row minus", "shape", {"axis": 0}),
    ("Reshape", "q shape", "f"),
    ("Gemm", "f fc.weight fc.bias", "e", {"transB": 1}),
    ("Softmax", "e", "y", {"axis": -1}),
]


def weights():
    return {
        "mean": np.float32(0.5),
        "conv.weight": floats(4, 3, 3, 3),
        **{name: np.abs(floats(4)) for name in "gbmv"},
        "a": floats(4, 1, 1),
        "zero": np.array(0),
        "axes": np.array([0]),
        "minus": np.array([-1]),
        "fc.weight": floats(5, 80),
        "fc.bias": floats(5),
    }


def damaged(data, rng):
    flipped = bytearray(data)
    if rng.random() < 0.2:
        return data[: rng.randrange(1, len(data))]
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data))
        flipped[place] = rng.choice([flipped[place] ^ 1 << rng.randrange(8), 255, 0])
    return bytes(flipped)


def test_damage_is_an_input_error_or_harmless(tmp_path, write):
    path = tmp_path / "net.onnx"
    tensors = weights()
    data = write(path, NODES, tensors).read_bytes()
    assert read_network(path).embedding_dim == 5
    # Most bytes are weights, and a changed weight is a weight: leave them alone.
    first = data.index(tensors["fc.weight"].tobytes())
    rest = data[:first], data[first + tensors["fc.weight"].nbytes :]
    rng = random.Random(0)
    refused = loaded = 0
    for number in range(MUTATIONS):
        parts = list(rest)
        parts[number % 2] = damaged(parts[number % 2], rng)
        path.write_bytes(tensors["fc.weight"].tobytes().join(parts))
        try:
            network = read_network(path)
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert len(message.splitlines()) == 1
            refused += 1
        else:
            assert network.embedding_dim > 0
            loaded += 1
    assert refused > MUTATIONS // 10
    assert loaded > MUTATIONS // 10


def test_a_file_cut_anywhere_is_refused_or_loads(tmp_path, write):
    path = tmp_path / "net.onnx"
    data = write(path, NODES, weights()).read_bytes()
    for end in range(1, len(data), 97):
        path.write_bytes(data[:end])
        with pytest.raises(InputError):
            read_network(path)
