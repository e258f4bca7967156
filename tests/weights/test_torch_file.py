import argparse
import os
import pickle
import sys
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import torch_file

torch = pytest.importorskip("torch")


@pytest.fixture
def state():
    rng = torch.Generator().manual_seed(0)
    return OrderedDict(
        {
            "conv1.weight": torch.randn(2, 3, 3, 3, generator=rng),
            "bn1.num_batches_tracked": torch.tensor(7),
            "half": torch.randn(3, generator=rng).half(),
            "brain": torch.randn(3, generator=rng).bfloat16(),
            "double": torch.randn(3, generator=rng).double(),
            "strided": torch.randn(4, 6, generator=rng).T[::2],
            "parameter": torch.nn.Parameter(torch.randn(2, generator=rng)),
        }
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_both_formats_give_the_same_floats(tmp_path, state, zipped, protocol):
    path = tmp_path / "net.pth"
    torch.save(
        {"state_dict": state, "epoch": 3},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    if protocol == 4:
        # What torch itself cannot read with weights_only.
        with pytest.raises(InputError, match="pickle_protocol=4"):
            torch_file.read(path)
        return
    tensors, ignored = torch_file.read(path)
    assert ignored == {"epoch": "int beside the weights"}
    assert list(tensors) == list(state)
    for name, tensor in state.items():
        floats = tensor.is_floating_point()
        want = (tensor.float() if floats else tensor).detach().numpy()
        np.testing.assert_array_equal(tensors[name], want, strict=True)


@pytest.mark.weights
def test_a_legacy_file_from_a_gpu(shared):
    path = shared("weights/mobilefacenet_068.ckpt")
    tensors, ignored = torch_file.read(path)
    assert ignored.keys() == {"epoch"}
    want = torch.load(path, map_location="cpu", weights_only=True)["net_state_dict"]
    assert list(tensors) == list(want)
    for name, tensor in want.items():
        np.testing.assert_array_equal(tensors[name], tensor.numpy(), strict=True)


@pytest.mark.weights
def test_a_truncated_legacy_file(shared, tmp_path):
    data = shared("weights/mobilefacenet_068.ckpt").read_bytes()
    path = tmp_path / "cut.ckpt"
    for length in (1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"cut\.ckpt: damaged") as caught:
            torch_file.read(path)
        assert "\n" not in str(caught.value)


class Attack:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("way", ["pickle", "zip", "legacy"])
def test_nothing_is_executed(tmp_path, state, way):
    path, trace = tmp_path / "evil.pth", tmp_path / "executed"
    attack = Attack(f"touch {trace}")
    if way == "pickle":
        path.write_bytes(pickle.dumps(attack, 2))
    else:
        loaded = {"state_dict": state, "epoch": attack}
        torch.save(loaded, path, _use_new_zipfile_serialization=way == "zip")
    with pytest.raises(InputError, match=r"evil\.pth: refused.*\w+\.system") as caught:
        torch_file.read(path)
    assert "torch.save(model.state_dict()" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_whole_module_is_refused_by_its_class(tmp_path):
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(
        InputError, match=r"refused.*torch\.nn\.modules\.linear\.Linear"
    ):
        torch_file.read(path)


def test_a_torchscript_program_is_refused(tmp_path):
    path = tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
        torch.jit.save(traced, path)
    with pytest.raises(InputError, match="TorchScript"):
        torch_file.read(path)


def test_callbacks_and_scores_beside_the_weights_are_stood_in_for(
    tmp_path, monkeypatch
):
    # PyTorch Lightning before 1.5, which saved AdaFace, keys callbacks by their class.
    name = "pytorch_lightning.callbacks.model_checkpoint"
    package = type(sys)(name)
    kind = type("ModelCheckpoint", (), {"__module__": name})
    package.ModelCheckpoint = kind  # pyright: ignore[reportAttributeAccessIssue]
    callback = kind()
    vars(callback)["best"] = 1
    with monkeypatch.context() as patch:
        for part in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
            patch.setitem(sys.modules, part, package)
        path = tmp_path / "lightning.ckpt"
        loaded = {
            "state_dict": {"model.fc.bias": torch.ones(2)},
            "callbacks": {kind: {"best": np.float64(0.5), "self": callback}},
            "scores": np.arange(3),
        }
        torch.save(loaded, path)
    allowed = set(torch.serialization.get_safe_globals())
    tensors, ignored = torch_file.read(path)
    assert tensors.keys() == {"model.fc.bias"}
    assert ignored.keys() == {"callbacks", "scores"}
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_options_and_paths_beside_the_weights_are_stood_in_for(tmp_path):
    path = tmp_path / "lab.pth"
    options = argparse.Namespace(batch=8, out=Path("runs"))
    torch.save({"state_dict": {"fc.bias": torch.ones(2)}, "args": options}, path)
    tensors, ignored = torch_file.read(path)
    assert tensors["fc.bias"].tolist() == [1, 1]
    assert ignored.keys() == {"args"}


def test_a_tensor_in_shards_is_told(tmp_path, monkeypatch):
    name, path = "torch.distributed.some_shards", tmp_path / "rank0.pth"
    package = type(sys)(name)
    package.Shard = type("Shard", (), {"__module__": name})  # pyright: ignore[reportAttributeAccessIssue]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, package)
        torch.save({"state_dict": {"w": package.Shard()}}, path)
    with pytest.raises(InputError, match="in shards"):
        torch_file.read(path)


def test_a_few_bytes_cannot_claim_terabytes(tmp_path):
    path = tmp_path / "bomb.pth"
    torch.save({"x": torch.zeros(1).expand(10**13)}, path)
    with pytest.raises(InputError, match="more memory than the file holds"):
        torch_file.read(path)


def test_a_compressed_archive_is_refused(tmp_path):
    plain, path = tmp_path / "plain.pth", tmp_path / "bomb.pth"
    torch.save({"x": torch.zeros(10**6)}, plain)
    with (
        zipfile.ZipFile(plain) as archive,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for info in archive.infolist():
            packed.writestr(info.filename, archive.read(info))
    with pytest.raises(InputError, match="compressed"):
        torch_file.read(path)


@pytest.mark.parametrize(
    "tensor", [torch.eye(3).to_sparse(), torch.zeros(2).to("meta")]
)
def test_tensors_without_plain_values_are_named(tmp_path, tensor):
    path = tmp_path / "odd.pth"
    torch.save({"odd one": tensor}, path)
    with pytest.raises(InputError, match="odd"):
        torch_file.read(path)


def test_text_under_the_wrong_name(tmp_path):
    path = tmp_path / "text.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"text\.pth: damaged or not"):
        torch_file.read(path)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"net\.pth: .*prefiqs-jax\[torch\]"):
        torch_file.read(Path("net.pth"))
