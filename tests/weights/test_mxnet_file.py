import struct

import numpy as np
import pytest
from mxnet_writer import array_bytes, write_params

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import mxnet_file
from prefiqs_jax.weights.mxnet_symbol import Norm, batch_norms, symbol_beside
from prefiqs_jax.weights.source import read_source

RNG = np.random.default_rng(0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model-0000.params"


@pytest.fixture
def arrays():
    kinds = ("f4", "f8", "f2", "u1", "i4", "i1", "i8")
    return {
        f"{role}:{kind}": (100 * RNG.random((2, 3, 1, 5)[: i % 3 + 1])).astype(kind)
        for i, kind in enumerate(kinds)
        for role in ("arg", "aux")[i % 2 : i % 2 + 1]
    }


@pytest.mark.parametrize("age", ["oldest", "v1", "v2", "v3"])
def test_every_age_of_the_format_gives_the_same_values(path, arrays, age):
    write_params(path, arrays, age)
    source = read_source(path)
    assert source.format == "mxnet"
    assert list(source.tensors) == [name[4:] for name in arrays]
    for name, array in arrays.items():
        want = array.astype("f4") if array.dtype.kind == "f" else array
        np.testing.assert_array_equal(source.tensors[name[4:]], want, strict=True)


def test_only_the_newest_age_has_scalars_and_empty_arrays(path):
    write_params(path, {"one": np.array(3, np.float32), "no": np.ones((0, 2))}, "v3")
    tensors = mxnet_file.read(path)
    assert tensors["one"] == 3
    assert tensors["no"].shape == (0, 2)
    for age in ("oldest", "v1", "v2"):  # there, no axes means no values at all
        write_params(path, {"one": np.array(3, np.float32)}, age)
        with pytest.raises(InputError, match="array without values"):
            mxnet_file.read(path)


def test_float32_stays_in_the_file(path):
    write_params(path, {"arg:w": np.ones((64, 64), np.float32)})
    tensor = mxnet_file.read(path)["w"]
    assert not tensor.flags.owndata
    assert not tensor.flags.writeable


def header(*words):
    return struct.pack("<QQQ", *words)


VECTOR = array_bytes(np.ones(2, np.float32))
NAMES = struct.pack("<QQ", 1, 1) + b"a"
HOSTILE = {
    "another file": (b"PK\x03\x04" * 9, "no .params file"),
    "many arrays": (header(0x112, 0, 2**64 - 1) + VECTOR, "claims to hold"),
    "many names": (
        header(0x112, 0, 1) + VECTOR + struct.pack("<Q", 2**40),
        "claims to hold",
    ),
    "long name": (
        header(0x112, 0, 1) + VECTOR + struct.pack("<QQ", 1, 2**63),
        "cut off",
    ),
    "many values": (
        header(0x112, 0, 1) + struct.pack("<Iiqiii", 0xF993FAC8, 1, 2**62, 1, 0, 0),
        "cut off",
    ),
    "overflowing sizes": (
        header(0x112, 0, 1)
        + struct.pack("<Ii4qiii", 0xF993FAC8, 4, *[2**32] * 4, 1, 0, 0),
        "cut off",
    ),
    "empty but vast": (
        header(0x112, 0, 1)
        + struct.pack("<Ii3qiii", 0xF993FAC8, 3, 0, 2**62, 2**62, 1, 0, 0)
        + NAMES,
        "damaged",
    ),
    "negative size": (
        header(0x112, 0, 1) + struct.pack("<Ii2qiii", 0xF993FAC8, 2, -1, -2, 1, 0, 0),
        r"shape \(-1, -2\)",
    ),
    "many axes": (header(0x112, 0, 1) + struct.pack("<I", 2**32 - 1), "axes"),
    "sparse": (header(0x112, 0, 1) + struct.pack("<Ii", 0xF993FAC9, 1), "sparse"),
    "unknown type": (
        header(0x112, 0, 1) + struct.pack("<Iiqiii", 0xF993FAC8, 1, 1, 1, 0, 12),
        "unknown type 12",
    ),
    "no names": (header(0x112, 0, 1) + VECTOR + bytes(8), "1 arrays and 0 names"),
    "trailing bytes": (header(0x112, 0, 1) + VECTOR + NAMES + b"x", "1 bytes more"),
    "name that is no text": (
        header(0x112, 0, 1) + VECTOR + NAMES[:-1] + b"\xff",
        "UnicodeDecodeError",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_damage_is_one_clear_line(path, kind):
    data, said = HOSTILE[kind]
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as caught:
        mxnet_file.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused(path, arrays):
    data = write_params(path, arrays)
    for length in range(1, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(InputError):
            mxnet_file.read(path)


def test_two_arrays_of_one_name(path):
    write_params(path, {"arg:w": np.ones(1), "aux:w": np.ones(1)})
    with pytest.raises(InputError, match="two arrays of the name w"):
        mxnet_file.read(path)


def test_the_symbol_of_a_checkpoint(tmp_path, path):
    symbol = tmp_path / "model-symbol.json"
    assert symbol_beside(path) is None
    # Old, newer and newest name of the attributes; the defaults are MXNet's own.
    symbol.write_text(
        """{"nodes": [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "BatchNorm", "name": "a", "param": {"fix_gamma": "False"}},
        {"op": "BatchNorm", "name": "b", "attr": {"eps": "2e-05", "fix_gamma": "1"}},
        {"op": "BatchNorm", "name": "c", "attrs": {"fix_gamma": "0", "eps": "1e-5"}},
        {"op": "BatchNorm", "name": "d"}]}"""
    )
    assert symbol_beside(path) == symbol
    assert symbol_beside(tmp_path / "model.params") is None
    assert batch_norms(symbol) == {
        "a": Norm(False, 1e-3),
        "b": Norm(True, 2e-5),
        "c": Norm(False, 1e-5),
        "d": Norm(True, 1e-3),
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 10**6,
        '{"nodes": [{"op": "BatchNorm"}]}',
        '{"nodes": [{"op": "BatchNorm", "name": "a", "attrs": {"fix_gamma": "no"}}]}',
        '{"nodes": [{"op": "BatchNorm", "name": "a", "attrs": {"eps": "tiny"}}]}',
        " " * (5 * 2**20),
    ],
)
def test_a_damaged_symbol_is_one_clear_line(tmp_path, text):
    symbol = tmp_path / "model-symbol.json"
    symbol.write_text(text)
    with pytest.raises(InputError, match=r"model-symbol\.json: ") as caught:
        batch_norms(symbol)
    assert "\n" not in str(caught.value)
