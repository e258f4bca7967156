import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import store
from prefiqs_jax.weights.source import SUFFIXES, read_source


def test_a_source_knows_where_it_comes_from(tmp_path, sha256):
    path = tmp_path / "net.SAFETENSORS"
    store.save(path, {"w": np.ones(2, np.float32)}, {"architecture": "tiny"})
    source = read_source(str(path))
    assert source.path == path
    assert source.format == "safetensors"
    assert source.sha256 == sha256(path)
    assert source.metadata["architecture"] == "tiny"
    assert source.tensors["w"].tolist() == [1, 1]
    assert source.ignored == {}


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "form", "digest", "count"),
    [
        ("face_recognition_sface_2021dec_int8bq.onnx", "onnx", "fb143eea07838aa5", 174),
        ("mobilefacenet_068.ckpt", "torch", None, 333),
    ],
)
def test_real_files(shared, name, form, digest, count):
    if form == "torch":
        pytest.importorskip("torch")
        manifest = json.loads(
            shared("golden/mobilefacenet_068.manifest.json").read_text()
        )
        digest = manifest["weights"]["file_sha256"]
    source = read_source(shared(f"weights/{name}"))
    assert source.format == form
    assert source.sha256.startswith(digest)
    assert len(source.tensors) == count


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_source(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    for name in ("net.h5", "net"):
        message = refusal(tmp_path / name, b"\x01\x02\x03\x04 something")
        assert all(known in message for known in (name, *SUFFIXES))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Google Drive</html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (b"\x20\0\0\0TFL3" + bytes(50), "TensorFlow Lite"),
        (b"\x1f\x8b\x08" + bytes(50), "unpack it"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "unpack it"),
        (bytes(257) + b"ustar" + bytes(250), "unpack it"),
    ],
)
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.onnx", "net"])
def test_what_holds_no_weights_is_told_for_what_it_is(tmp_path, name, content, said):
    assert said in refusal(tmp_path / name, content)


def test_shards_and_archives_of_zip(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights/net.pth", "x")
    assert "dcp_to_torch" in refusal(tmp_path / "__0_0.distcp", file.getvalue())
    assert "unpack it" in refusal(tmp_path / "net.tar", file.getvalue())


STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "fc.weight": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "steps": np.array(7),
}


def write_torch(path, content):
    torch = pytest.importorskip("torch")
    torch.save({k: torch.from_numpy(np.array(v)) for k, v in content.items()}, path)


def write_pickled(path, content):
    path.write_bytes(pickle.dumps({"state_dict": content, "epoch": 3}, 2))


def write_safetensors(path, content):
    store.save(path, {k: np.ascontiguousarray(v) for k, v in content.items()}, {})


def write_open(function):
    def write(path, content):
        with open(path, "wb") as file:
            function(file, content)

    return write


WRITERS = {
    "torch": write_torch,
    "torch, NumPy inside": lambda path, content: pytest.importorskip("torch").save(
        {"state_dict": content, "best": np.float64(0.5), "note": np.array(["a"])}, path
    ),
    "pickle": write_pickled,
    "np.savez": write_open(lambda file, content: np.savez(file, **content)),
    "np.savez_compressed": write_open(
        lambda file, content: np.savez_compressed(file, **content)
    ),
    "np.save": write_open(lambda file, content: np.save(file, content)),
    "safetensors": write_safetensors,
}


@pytest.mark.parametrize("name", ["BEST.tar", "net.pth.tar", "net.bin", "net", "a.pth"])
@pytest.mark.parametrize("way", WRITERS)
def test_the_content_tells_the_format_whatever_the_name(tmp_path, way, name):
    path = tmp_path / name
    WRITERS[way](path, STATE)
    tensors = read_source(path).tensors
    assert tensors.keys() == STATE.keys()
    for key, value in STATE.items():
        np.testing.assert_array_equal(tensors[key], value)
        assert tensors[key].dtype == (np.int64 if key == "steps" else np.float32)


def test_an_onnx_file_of_another_name(shared, tmp_path):
    path = tmp_path / "model.bin"
    path.symlink_to(shared("weights/face_recognition_sface_2021dec_int8bq.onnx"))
    assert read_source(path).format == "onnx"


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickles_of_every_protocol(tmp_path, protocol):
    path = tmp_path / "net.npy"
    path.write_bytes(pickle.dumps(STATE, protocol))
    np.testing.assert_array_equal(
        read_source(path).tensors["conv.weight"], STATE["conv.weight"]
    )


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda file: np.save(file, np.ones(3)), "one array"),
        (lambda file: np.savez(file, a=np.array([{}])), "Python objects"),
        (lambda file: np.savez_compressed(file, a=np.zeros(10**7)), "far more"),
        (lambda file: pickle.dump([1, 2], file), "holds a list"),
        (lambda file: pickle.dump({"a": STATE.keys}, file), "refused"),
    ],
)
def test_numpy_files_of_something_else(tmp_path, write, said):
    file = io.BytesIO()
    write(file)
    assert said in refusal(tmp_path / "net.npz", file.getvalue())


@pytest.mark.parametrize("name", ["_flat_param", "layer1._flat_param", "flat_param"])
def test_shards_of_fsdp(tmp_path, name):
    path = tmp_path / "rank0.pth"
    write_torch(path, {name: np.ones(9, np.float32)})
    with pytest.raises(InputError, match="shards"):
        read_source(path)


def test_one_shard_of_a_distributed_checkpoint(tmp_path):
    message = refusal(tmp_path / "__0_0.distcp", b"PK\x03\x04 anything")
    assert "shard" in message


def test_the_dense_parent_of_a_pruned_network(tmp_path):
    path = tmp_path / "pruned.npz"
    weight, mask = np.array([2.0, 3.0]), np.array([1.0, 0.0])
    pair: dict[str, Any] = {"fc.weight_orig": weight, "fc.weight_mask": mask}
    np.savez(path, b=weight, **pair)
    assert read_source(path).tensors["fc.weight"].tolist() == [2, 0]
    dense = read_source(path, dense=True).tensors
    assert {name: each.tolist() for name, each in dense.items()} == {
        "fc.weight": [2, 3],
        "b": [2, 3],
    }
    np.savez(path, b=weight)
    with pytest.raises(InputError, match="leave --dense out"):
        read_source(path, dense=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_file_is_one_clear_line(tmp_path, suffix):
    missing, empty, folder = (tmp_path / f"{n}{suffix}" for n in ("no", "empty", "dir"))
    empty.touch()
    folder.mkdir()
    cases = {missing: "No such file", empty: "empty file", folder: "a folder"}
    for path, said in cases.items():
        with pytest.raises(InputError, match=said) as caught:
            read_source(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_paths_that_no_system_allows(tmp_path):
    for name in ("x" * 5000 + ".onnx", "nul\0.onnx"):
        with pytest.raises(InputError, match="check the path"):
            read_source(tmp_path / name)
