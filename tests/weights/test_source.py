import json

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import store
from prefiqs_jax.weights.source import READERS, read_source


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


def test_an_unknown_extension_lists_the_known_ones(tmp_path):
    for name in ("net.h5", "net"):
        with pytest.raises(InputError) as caught:
            read_source(tmp_path / name)
        assert all(known in str(caught.value) for known in (name, *READERS))


@pytest.mark.parametrize("suffix", READERS)
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
