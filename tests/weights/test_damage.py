"""Damaged files of every format end in an InputError or load; nothing else escapes."""

import os
import pickle
import random
import struct
import time
import zipfile
from typing import Any

import numpy as np
import onnx
import pytest
from mxnet_writer import write_params
from onnx import TensorProto, helper, numpy_helper

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import store
from prefiqs_jax.weights.source import read_source

MUTATIONS = 1000
MAX_SECONDS = 5
# What a size, a count, an offset or a type may be replaced with.
EXTREMES = (0, 1, -1, 127, 128, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)


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


def write_mxnet(path):
    arrays = {
        "arg:a_weight": np.ones((2, 3), np.float32),
        "aux:b": np.arange(4, dtype=np.int64),
        "c": np.ones(2, np.float16),
    }
    write_params(path, arrays)


NUMPY: dict[str, Any] = {"a": np.ones((2, 3), np.float32), "b": np.arange(4)}
WRITERS = {
    "net.npz": lambda path: np.savez(path, **NUMPY),
    "net.npy": lambda path: np.save(path, np.array(NUMPY)),
    "net.onnx": write_onnx,
    "net.safetensors": write_safetensors,
    "net.pth": lambda path: write_torch(path, zipped=True),
    "legacy.ckpt": lambda path: write_torch(path, zipped=False),
    "net.params": write_mxnet,
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut, extend, overwrite, flip bits; put extreme numbers; move pieces about."""
    start, size = rng.randrange(len(data)), rng.randrange(1, 65)
    piece = data[start : start + size]
    match rng.randrange(8):
        case 0:
            return data[: rng.randrange(1, len(data))]
        case 1:
            return data + rng.randbytes(rng.randrange(1, 100))
        case 2:
            return data[:start] + rng.randbytes(8) + data[start + 8 :]
        case 3:
            return overwritten(data, extreme(rng), start)
        case 4:  # a number of variable length grows, as protobuf writes it
            value = rng.choice(EXTREMES) % 2**64
            return data[:start] + varint(value) + data[start + 1 :]
        case 5:
            other = rng.randrange(len(data))
            return overwritten(data, piece, other)
        case 6:
            return data[:start] + piece * rng.randrange(2, 50) + data[start + size :]
    flipped = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def overwritten(data: bytes, piece: bytes, start: int) -> bytes:
    return data[:start] + piece + data[start + len(piece) :]


def extreme(rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(EXTREMES) % 2 ** (8 * width)
    return value.to_bytes(width, rng.choice(("little", "big")))


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.mark.slow
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
        # Another file each time, as the arrays may be mapped from the last one.
        path.unlink()
        path.write_bytes(damaged(data, rng))
        message, tensors = "", {}
        start = time.monotonic()
        try:
            tensors = read_source(path).tensors
        except InputError as error:
            message = str(error)
            refused += 1
        assert time.monotonic() - start < MAX_SECONDS
        assert not message or message.startswith(f"{path}: ")
        assert len(message.splitlines()) <= 1
        total = sum(array.nbytes for array in tensors.values())
        assert total <= 16 * path.stat().st_size + 2**20
    assert refused > MUTATIONS // 10


PROTOCOL = b"\x80\x02"
STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpu\x8a\x08%stQ"
)
BOMBS = {
    "a key of nested tuples": b"})" + b"\x85" * 300_000 + b"K\x01s",
    "a key that doubles": b"})" + b"q\x00h\x00\x86" * 60 + b"K\x01s",
    "nested lists": b"]" * 100_000 + b"a" * 99_999,
    "millions of entries": b"](" + b"K\x01" * 600_000 + b"e",
    "millions of marks": b"(" * 600_000,
    "a long text": b"X\xff\xff\xff\xff" + b"a" * 100,
    "a long number": b"\x8b\xff\xff\xff\x7f" + b"a" * 100,
    "bytes by number": b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",
    "a tensor by number": b"ctorch\nFloatTensor\nJ\xff\xff\xff\x7f\x85R",
    "a large storage": STORAGE % struct.pack("<q", 2**40),
    "a negative storage": STORAGE % struct.pack("<q", -1),
    "a storage without a size": STORAGE[:-5] + b"NtQ",
    "far into the memo": b"}r\xff\xff\xff\xff",
}


def write_pickle(path, program: bytes) -> None:
    """Put a program into a PyTorch file of either format."""
    if path.suffix == ".pth":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
            archive.writestr("archive/version", "3")
        return
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    data = b"".join(pickle.dumps(part, 2) for part in head)
    path.write_bytes(data + program + pickle.dumps([], 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net.pth", "legacy.ckpt"])
@pytest.mark.parametrize("kind", BOMBS)
def test_pickles_that_would_fill_the_memory_are_refused(tmp_path, name, kind):
    pytest.importorskip("torch")
    path = tmp_path / name
    write_pickle(path, PROTOCOL + BOMBS[kind] + b".")
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        read_source(path)
    assert time.process_time() - start < 30
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


class Canary:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("way", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("function", [os.system, eval, exec, os.mkdir])
def test_no_pickle_is_executed(tmp_path, suffix, way, function):
    torch = pytest.importorskip("torch")
    path, trace = tmp_path / f"evil{suffix}", tmp_path / "executed"
    argument = {
        os.system: f"mkdir {trace}",
        eval: f"__import__('os').mkdir({str(trace)!r})",
        exec: f"import os; os.mkdir({str(trace)!r})",
        os.mkdir: str(trace),
    }[function]
    loaded = {"state_dict": {"w": torch.ones(2)}, "epoch": Canary(function, argument)}
    if way == "pickle":
        path.write_bytes(pickle.dumps(loaded["epoch"], 2))
    else:
        torch.save(loaded, path, _use_new_zipfile_serialization=way == "zip")
    with pytest.raises(InputError, match="refused, since loading it could run code"):
        read_source(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(loaded["epoch"]))  # as the wrong reader would
    assert trace.exists()


def test_records_that_share_bytes_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pth"
    torch.save({"a": torch.ones(4), "b": torch.ones(4)}, path)
    data = bytearray(path.read_bytes())
    # The last entry of the directory is sent to where the first one is.
    places = [i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"]
    data[places[-1] + 42 : places[-1] + 46] = data[places[0] + 42 : places[0] + 46]
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"share bytes|damaged") as caught:
        read_source(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 10**6,
        b'{"a":' * 10**6,
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        b" " * 5_000_000,
    ],
)
def test_hostile_headers_of_safetensors_are_refused(tmp_path, header):
    path = tmp_path / "net.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match=r"net\.safetensors: damaged") as caught:
        read_source(path)
    assert "\n" not in str(caught.value)
