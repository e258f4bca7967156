"""What protobuf would unpack is refused before it does; what networks have is not."""

import mmap
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import onnx_file, onnx_scan
from prefiqs_jax.weights.onnx_model import open_model
from prefiqs_jax.weights.onnx_scan import check_size

REPEATS = 1_200_000


def field(number: int, payload: bytes) -> bytes:
    """Write a field with a length, by the published encoding."""
    length, size = b"", len(payload)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


GRAPH, NODE, INITIALISER, INT64_DATA = 7, 1, 5, 7
FEW = 5000
BOMBS = {
    "empty nodes": field(GRAPH, field(NODE, b"") * FEW),
    "empty inputs": field(GRAPH, field(NODE, field(1, b"") * FEW)),
    "empty attributes": field(GRAPH, field(NODE, field(5, b"") * FEW)),
    "many zeros": field(GRAPH, field(INITIALISER, field(INT64_DATA, bytes(2**25)))),
    "unpacked numbers": field(GRAPH, field(INITIALISER, b"\x38\x00" * FEW)),
    "unknown fields": b"\xf8\x01\x00" * FEW,
}


def nested(depth: int) -> bytes:
    graph = b""
    for _ in range(depth):
        graph = field(GRAPH - 1, graph)  # the graph of an attribute
        graph = field(NODE, field(5, graph))
    return field(GRAPH, graph)


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_before_they_are_parsed(tmp_path, kind, monkeypatch):
    # Checks of types at every number make a million fields last 20 s; the number itself
    # is that of test_a_bomb_takes_no_memory, in a process without them.
    monkeypatch.setattr(onnx_scan, "MAX_FIELDS", FEW - 1)
    path = tmp_path / "bomb.onnx"
    path.write_bytes(BOMBS[kind])
    with pytest.raises(InputError, match=r"bomb\.onnx: would unpack") as caught:
        open_model(path)
    assert "\n" not in str(caught.value)


def test_deep_nesting_is_refused():
    with pytest.raises(InputError, match="unpack"):
        check_size(nested(1000))
    check_size(nested(10))


@pytest.mark.slow
def test_a_bomb_takes_no_memory(tmp_path):
    # Protobuf itself would take 160 MB for these 2.4 MB, and far more once looked at.
    path = tmp_path / "bomb.onnx"
    path.write_bytes(field(GRAPH, field(NODE, b"") * REPEATS))
    code = (
        "import onnx, resource, sys\n"
        "from prefiqs_jax.errors import InputError\n"
        "from prefiqs_jax.weights.onnx_model import open_model\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try:\n    open_model(sys.argv[1])\n"
        "except InputError:\n    print(peak() - before)\n"
    )
    code = code.replace("sys.argv[1]", "__import__('pathlib').Path(sys.argv[1])")
    run = [sys.executable, "-c", code, str(path)]
    output = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    kilobytes = int(output)
    assert kilobytes < 30_000


def test_the_walk_agrees_with_protobuf_on_every_truncation():
    weight = numpy_helper.from_array(np.arange(6.0), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1], name="conv")
    graph = helper.make_graph([node], "net", [], [], [weight])
    data = helper.make_model(graph).SerializeToString()
    check_size(data)
    for length in range(len(data)):
        try:
            onnx.ModelProto.FromString(data[:length])
        except Exception:  # google's own, of no public name
            with pytest.raises(InputError, match="damaged"):
                check_size(data[:length])
        else:
            check_size(data[:length])


def test_half_precision_as_integers_is_no_bomb(tmp_path):
    # As onnxconverter_common writes it: 16 bits as a number of variable length.
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float16)
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT16)
    weight.dims.append(values.size)
    weight.int32_data.extend(values.view(np.uint16).tolist())
    node = helper.make_node("Add", ["x", "w"], ["y"])
    path = tmp_path / "half.onnx"
    onnx.save(
        helper.make_model(helper.make_graph([node], "net", [], [], [weight])), path
    )
    tensors, *_ = onnx_file.read(path)
    np.testing.assert_array_equal(tensors["w"], values.astype(np.float32))


@pytest.mark.slow
def test_a_large_network_is_no_bomb(tmp_path):
    path = tmp_path / "large.onnx"
    weights = [
        numpy_helper.from_array(np.zeros((8, 500), np.float32), f"w{i}")
        for i in range(2000)
    ]
    nodes = [
        helper.make_node(
            "Conv",
            [f"x{i}", f"w{i}"],
            [f"x{i + 1}"],
            name=f"conv{i}",
            kernel_shape=[3, 3],
            pads=[1] * 4,
            strides=[1, 1],
            dilations=[1, 1],
        )
        for i in range(2000)
    ]
    values = [
        helper.make_tensor_value_info(f"x{i}", 1, [1, 64, 112, 112])
        for i in range(2001)
    ]
    graph = helper.make_graph(
        nodes, "net", values[:1], values[-1:], weights, value_info=values
    )
    onnx.save(helper.make_model(graph), path)
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        check_size(data)
