import os

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import store

METADATA = {"architecture": "iresnet18", "sha256": "00", "preprocessing": '{"é": [1]}'}


@pytest.fixture
def tensors():
    return {
        "fc/kernel": np.arange(6, dtype=np.float32).reshape(3, 2).T,
        "scalar": np.float32(2.5).reshape(()),
        "empty": np.zeros((0, 3), np.float32),
        "counter": np.array([7], np.int64),
        "mask": np.array([True, False, True]),
    }


def test_what_was_saved_comes_back(tmp_path, tensors):
    path = tmp_path / "net.safetensors"
    store.save(path, tensors, METADATA)
    loaded, metadata = store.load(path)
    assert metadata == METADATA | {"format": store.FORMAT}
    assert store.is_own(metadata)
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array, strict=True)


def test_the_official_reader_reads_the_same(tmp_path, tensors):
    path = tmp_path / "net.safetensors"
    store.save(path, tensors, METADATA)
    for name, array in load_file(path).items():
        np.testing.assert_array_equal(array, tensors[name], strict=True)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == METADATA | {"format": store.FORMAT}


def test_the_same_content_gives_the_same_bytes(tmp_path, tensors, sha256):
    paths = [tmp_path / f"{i}.safetensors" for i in range(2)]
    store.save(paths[0], tensors, METADATA)
    backwards = dict(reversed(tensors.items()))
    store.save(paths[1], backwards, dict(reversed(METADATA.items())))
    assert sha256(paths[0]) == sha256(paths[1])


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, tensors, monkeypatch):
    path = tmp_path / "net.safetensors"
    store.save(path, tensors, METADATA)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="float"):
        store.save(path, {"x": np.zeros(1, np.longdouble)}, {})
    with pytest.raises(ValueError, match="text only"):
        store.save(path, tensors, {"epoch": 3})
    with pytest.raises(ValueError, match="__metadata__"):
        store.save(path, {"__metadata__": np.zeros(1, np.float32)}, {})
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="No space left"):
        store.save(path, {}, {})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        store.save(tmp_path / "nowhere" / "net.safetensors", {}, {})


def test_a_foreign_file_is_a_plain_state_dict(tmp_path):
    path = tmp_path / "foreign.safetensors"
    state = {
        "half": np.array([0.5, -2, 65504], np.float16),
        "double": np.array([0.1, 1e300]),
        "integer": np.array([3], np.int16),
    }
    save_file(state, path, metadata={"format": "pt"})
    loaded, metadata = store.load(path)
    assert not store.is_own(metadata)
    np.testing.assert_array_equal(loaded["half"], state["half"].astype(np.float32))
    assert loaded["half"].dtype == loaded["double"].dtype == np.float32
    assert loaded["double"].tolist() == [np.float32(0.1), np.inf]
    assert loaded["integer"].dtype == np.int16


def test_bfloat16_is_exact(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    values = values.to(torch.bfloat16)
    path = tmp_path / "bf16.safetensors"
    save_torch({"x": values}, path)
    loaded, _ = store.load(path)
    np.testing.assert_array_equal(loaded["x"], values.float().numpy(), strict=True)


def test_a_type_that_numpy_lacks_is_named(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    path = tmp_path / "f8.safetensors"
    save_torch({"small": torch.zeros(2).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(InputError, match="small has the type F8_E4M3"):
        store.load(path)


def test_a_newer_format_asks_for_an_update(tmp_path):
    path = tmp_path / "new.safetensors"
    save_file({"x": np.zeros(1)}, path, metadata={"format": "prefiqs-jax 2"})
    with pytest.raises(InputError, match="update prefiqs-jax"):
        store.load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"not a safetensors file at all",
        (2**63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}" + b"trailing",
        (5).to_bytes(8, "little") + b"{nope",
    ],
)
def test_a_hostile_header_is_one_clear_line(tmp_path, data):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.safetensors: damaged") as caught:
        store.load(path)
    assert "\n" not in str(caught.value)
