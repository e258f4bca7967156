"""The backbone that needs no file: its size, its weights file, how it is asked for."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.load import convert_weights
from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import store
from prefiqs_jax.weights.mapping import MappingError

DEMO = architecture("demo")


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)

    def draw(path, shape):
        if path.endswith("var"):
            return rng.uniform(1e-9, 1e-7, shape)  # would vanish in float16
        scale = np.sqrt(2 / max(1, np.prod(shape[:-1]))) if len(shape) > 1 else 0.1
        return rng.standard_normal(shape) * scale

    shapes = DEMO.blueprint.shapes
    return {path: draw(path, shape).astype("f4") for path, shape in shapes.items()}


@pytest.fixture(scope="module")
def saved(tensors, training, tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "mine.safetensors"
    training.save_trained(path, "demo", tensors, {"trained_by": "a test"})
    return path


def test_it_is_small(saved):
    shapes = DEMO.blueprint.shapes
    sizes = [np.prod(s) for path, s in shapes.items() if path.startswith("params")]
    assert sum(sizes) == 1_165_576
    assert saved.stat().st_size <= 3e6


def test_float16_is_what_comes_back(saved, tensors):
    loaded, metadata = store.load(saved)
    assert store.is_own(metadata)
    assert metadata["trained_by"] == "a test"
    for path, array in tensors.items():
        assert loaded[path].dtype == np.float32
        expected = array.astype(np.float16) if array.ndim > 1 else array
        np.testing.assert_array_equal(loaded[path], expected.astype(np.float32))


def test_the_same_weights_give_the_same_file(
    training, saved, tensors, tmp_path, sha256
):
    again = tmp_path / "again.safetensors"
    training.save_trained(
        again, "demo", dict(reversed(tensors.items())), {"trained_by": "a test"}
    )
    assert sha256(again) == sha256(saved)


def test_a_file_of_ones_own_training(saved, tmp_path, sha256):
    for name in ("demo", None):
        backbone = load_backbone(name, saved)
        assert backbone.name == "demo"
        assert backbone.provenance.sha256 == sha256(saved)
        assert backbone.provenance.source_file == saved.name
    leaves = jax.tree.leaves(load_backbone("demo", saved).params)
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}
    converted = tmp_path / "converted.safetensors"
    convert_weights(saved, converted)
    assert load_backbone(None, converted).provenance.source_sha256 == sha256(saved)
    with pytest.raises(InputError, match="holds demo, not sface"):
        load_backbone("sface", saved)


def test_a_pytorch_file_is_recognised(tensors, tmp_path):
    from safetensors.numpy import save_file

    entries = DEMO.entries(DEMO.blueprint.shapes)
    assert entries.keys() == pytorch_entries(DEMO.blueprint.shapes).keys()
    # Values do not matter here, shapes do.
    state = {key: np.ones(entry.shape, "f4") for key, entry in entries.items()}
    save_file(state, tmp_path / "twin.safetensors")
    assert load_backbone("demo", tmp_path / "twin.safetensors").name == "demo"
    with pytest.raises(InputError, match="it fits demo"):
        load_backbone("arcface_iresnet18", tmp_path / "twin.safetensors")


def test_what_float16_cannot_hold_is_named(training, tensors, tmp_path):
    large = {**tensors, "params/fc/kernel": tensors["params/fc/kernel"] + 70_000}
    with pytest.raises(MappingError, match=r"infinite values \(params/fc/kernel\)"):
        training.save_trained(tmp_path / "x.safetensors", "demo", large, {})
    assert not list(tmp_path.iterdir())


def test_without_a_file():
    backbone = load_backbone("demo")
    assert backbone.name == "demo"
    assert backbone.embedding_dim == 128
    assert backbone.provenance.file == DEMO.embedded
    assert backbone.preprocessing == DEMO.preprocessing


@pytest.mark.slow
def test_one_face_alone_has_the_embedding_that_it_has_in_a_batch():
    backbone = load_backbone("demo")
    rng = np.random.default_rng(0)
    rgb_images = rng.integers(0, 256, (3, 112, 112, 3), np.uint8)
    images = backbone.preprocess(rgb_images)
    apply = jax.jit(backbone.apply_fn)
    together = np.asarray(apply(backbone.params, images))
    alone = np.asarray(apply(backbone.params, images[2:3]))
    assert np.abs(together[2] - alone[0]).max() <= 1e-5 * np.abs(together).max()


def test_the_record_describes_the_weights_that_come_with_the_package():
    import importlib.resources

    assets = importlib.resources.files("prefiqs_jax") / "assets"
    record = json.loads((assets / "demo_training.json").read_text())
    provenance = load_backbone("demo").provenance
    assert record["embedded_sha256"] == provenance.sha256
    assert len(record["runs"]) >= 3
    for run in record["runs"]:
        assert run["verification"]["clean"]["eer"] <= 0.02
        worse = run["verification"]["half_degraded"]["eer"]
        assert worse > 2 * run["verification"]["clean"]["eer"]
        assert len(run["curves"]["step"]) == len(run["curves"]["loss"])


def test_other_networks_still_need_a_file(capsys, tmp_path):
    with pytest.raises(InputError, match="backbone arcface_iresnet18 needs a weights"):
        load_backbone("arcface_iresnet18")
    with pytest.raises(InputError, match="a backbone needs a weights"):
        load_backbone()
    common = ["--images", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    for command in ("sweep", "score"):
        for backbone in (["--backbone", "arcface_iresnet18"], []):
            capsys.readouterr()
            assert main([command, *backbone, *common]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert "needs a weights file" in line
            assert line.endswith("weights come with: demo")
        assert main([command, "--backbone", "demo", *common]) == 2
        assert "nowhere" in capsys.readouterr().err


def test_it_is_listed(capsys):
    assert main(["backbones"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith("demo ")]
    assert "weights included" in lines[place]
    assert "128-d" in lines[place + 1]


@pytest.mark.slow
def test_a_trained_network_is_what_its_file_holds(training, tmp_path):
    """The evaluating half of a training and a loaded backbone are one function."""
    network = training.trainable(DEMO.build, 0)
    drawn = np.random.default_rng(0).standard_normal((2, 112, 112, 3), np.float32)
    images = jnp.asarray(drawn)
    before = network.embed_fn(network.params, network.statistics, images)
    kernels = jax.tree.map(
        lambda w: w.astype(np.float16).astype(w.dtype) if w.ndim > 1 else w,
        network.params,
    )
    rounded = network.embed_fn(kernels, network.statistics, images)
    path = tmp_path / "demo.safetensors"
    training.save_trained(
        path, "demo", training.tensors_of(network.params, network.statistics), {}
    )
    backbone = load_backbone("demo", path)
    np.testing.assert_array_equal(backbone.apply_fn(backbone.params, images), rounded)
    assert np.abs(rounded - before).max() > 0
    assert np.abs(rounded - before).max() < 5e-3 * np.abs(before).max()
