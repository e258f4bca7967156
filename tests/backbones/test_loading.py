"""Checkpoints as each project saves them: containers, prefixes, folded exports."""

import functools
import json
import warnings

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from prefiqs_jax.backbones import convert_weights, load_backbone
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.backbones.zoo import ARCHITECTURES, architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.prefixes import strip_prefix

FAMILIES = (
    "arcface_iresnet18",
    "elasticface_iresnet_se18",
    "crfiqa_iresnet18",
    "curricularface_ir50",
    "curricularface_ir_se50",
    "evolve_ir50",
    "insightface_pytorch_ir_se50",
    "adaface_ir18",
    "adaface_ir_se50",
    "arcface_mobilefacenet",
    "arcface_mobilefacenet_large",
    "xiaoccer_mobilefacenet",
    "arcface_vit_t",
)
PREFIXES = (
    "",
    "module.",
    "features.module.",
    "module.features.",
    "model.",
    "net.",
    "backbone.",
    "model.net.",
    "_orig_mod.module.",
)
HEADS = {
    "head.kernel": np.ones((8, 5), np.float32),
    "head.t": np.ones(1, np.float32),
    "head.batch_mean": np.ones(1, np.float32),
    "head.batch_std": np.ones(1, np.float32),
}


def table(name):
    found = architecture(name)
    return found.entries(found.blueprint.shapes)


def draw(name, seed=0):
    """Draw a state dict of an architecture, in PyTorch's layout."""
    rng = np.random.default_rng(seed)
    state = {}
    for key, entry in table(name).items():
        fan = int(np.prod(entry.shape[1:])) if len(entry.shape) > 1 else 1
        values = rng.normal(0, fan**-0.5, entry.shape)
        if key.endswith("running_var") or len(entry.shape) == 1:
            values = 0.5 + np.abs(values)
        state[key] = values.astype(np.float32)
        if key.endswith("running_mean"):
            counter = key.replace("running_mean", "num_batches_tracked")
            state[counter] = np.array(7)
    return state


def under(prefix, state):
    return {prefix + key: value for key, value in state.items()}


@pytest.fixture(scope="module")
def state():
    return draw("demo")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, 112, 112, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(state, images, tmp_path_factory):
    path = tmp_path_factory.mktemp("bare") / "bare.safetensors"
    save_file(state, path)
    return embed(load_backbone("demo", path), images)


def embed(backbone, images):
    return np.asarray(backbone.apply_fn(backbone.params, backbone.preprocess(images)))


# FIELD section 3.2, in its order: what is saved, by which code.
CONTAINERS = {
    "arcface_torch model.pt": lambda s: s,
    "arcface_torch checkpoint_gpu_0.pt": lambda s: {
        "epoch": 3,
        "global_step": 100,
        "state_dict_backbone": s,
        "state_dict_softmax_fc": {"weight": np.ones((4, 8), np.float32)},
        "state_optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "state_lr_scheduler": {"last_epoch": 3},
    },
    "CR-FIQA without its head": lambda s: {
        **s,
        "qs.weight": np.ones((1, 8), np.float32),
        "qs.bias": np.ones(1, np.float32),
    },
    "MagFace, distributed": lambda s: {
        "epoch": 25,
        "arch": "iresnet100",
        "state_dict": {
            **under("features.module.", s),
            "parallel_fc.weight": np.ones((8, 5), np.float32),
        },
        "optimizer": {"state": {}, "param_groups": []},
    },
    "MagFace, DataParallel": lambda s: {
        "state_dict": {
            **under("module.features.", s),
            "module.fc.weight": np.ones((8, 5), np.float32),
        }
    },
    "AdaFace, Lightning": lambda s: {
        "state_dict": {**under("model.", s), **HEADS},
        "pytorch-lightning_version": "1.4.4",
        "hyper_parameters": {"arch": "ir_101"},
        "optimizer_states": [],
    },
    "CVLFace": lambda s: under("net.", s),
    "DataParallel": lambda s: under("module.", s),
    "Xiaoccer": lambda s: {"epoch": 68, "net_state_dict": s},
    "model": lambda s: {"model": under("backbone.", s)},
}


def to_torch(value):
    torch = pytest.importorskip("torch")
    if isinstance(value, dict):
        return {key: to_torch(inner) for key, inner in value.items()}
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_every_container_gives_the_same_network(
    name, zipped, state, images, expected, tmp_path
):
    torch = pytest.importorskip("torch")
    path = tmp_path / "checkpoint.pth"
    saved = to_torch(CONTAINERS[name](state))
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert (embed(load_backbone("demo", path), images) == expected).all()


@functools.cache
def keys(name):
    return list(table(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_prefix_of_every_family(name, prefix):
    wrapped = dict.fromkeys(under(prefix, dict.fromkeys(keys(name))), 0)
    beside = dict.fromkeys(HEADS, 0)
    anchors = ARCHITECTURES[name].anchors
    stripped, found, _ = strip_prefix(wrapped | beside, anchors, keys(name))
    assert list(stripped) == [*keys(name), *HEADS]
    assert found == prefix.replace("_orig_mod.", "")
    recognised = [a.name for a in ARCHITECTURES.values() if a.recognises(stripped)]
    assert name in recognised


@pytest.mark.parametrize("form", [".pth", ".ckpt", ".safetensors"])
def test_one_error_names_missing_extra_and_misshapen(state, tmp_path, form):
    broken = dict(state)
    del broken["layer2.1.bn1.running_mean"]
    broken["layer9.extra"] = np.ones(3, np.float32)
    broken["fc.bias"] = np.ones(64, np.float32)
    path = tmp_path / f"broken{form}"
    if form == ".safetensors":
        save_file(broken, path)
    else:
        pytest.importorskip("torch").save(to_torch({"state_dict": broken}), path)
    with pytest.raises(InputError) as error:
        load_backbone("demo", path)
    line = str(error.value)
    assert len(line.splitlines()) == 1
    assert line.startswith(f"{path} does not fit demo: ")
    assert "1 tensor missing (layer2.1.bn1.running_mean)" in line
    assert "1 unexpected (layer9.extra)" in line
    assert "1 misshapen (fc.bias: (64,) instead of (128,))" in line


@pytest.mark.slow
def test_a_missing_batchnorm_is_not_passed_over(tmp_path):
    """CurricularFace's units lack a BatchNorm that AdaFace's have."""
    path = tmp_path / "curricularface.safetensors"
    save_file(draw("curricularface_ir50"), path)
    with pytest.raises(InputError) as error:
        load_backbone("adaface_ir50", path)
    assert str(error.value).endswith("it fits curricularface_ir50")


@pytest.mark.parametrize(
    "name", ["arcface_vit_t", "elasticface_iresnet_se18", "xiaoccer_mobilefacenet"]
)
def test_biases_of_its_own_make_no_network_folded(name, tmp_path):
    save_file(draw(name), tmp_path / "net.safetensors")
    backbone = load_backbone(name, tmp_path / "net.safetensors")
    assert backbone.provenance.folded is False


@pytest.mark.slow
def test_quality_head_is_no_parameter(tmp_path):
    state = draw("crfiqa_iresnet18")
    path = tmp_path / "crfiqa.safetensors"
    save_file(state, path)
    backbone = load_backbone("crfiqa_iresnet18", path)
    assert backbone.quality_head is not None
    assert "qs" not in backbone.params
    rows = np.random.default_rng(0).normal(size=(3, 512))
    quality = backbone.quality_head(jax.numpy.asarray(rows))
    ours = rows @ state["qs.weight"][0].astype(float) + float(state["qs.bias"][0])
    np.testing.assert_allclose(quality, ours, rtol=1e-12)
    converted = tmp_path / "converted.safetensors"
    convert_weights(path, converted, "crfiqa_iresnet18")
    again = load_backbone(None, converted)
    assert again.quality_head is not None
    np.testing.assert_array_equal(again.quality_head(jax.numpy.asarray(rows)), quality)
    plain = load_backbone("arcface_iresnet18", path)
    assert plain.quality_head is None
    assert "quality head" in plain.provenance.ignored["qs.weight"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export MobileFaceNet's twin, whose BatchNorms the exporter folds."""
    torch = pytest.importorskip("torch")
    from backbones.twins.mobilefacenet import arcface_mobilefacenet

    torch.manual_seed(0)
    twin = arcface_mobilefacenet().eval()
    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    path = tmp_path_factory.mktemp("exported") / "w600k_mbf.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated
        torch.onnx.export(
            twin, torch.zeros(1, 3, 112, 112), path, dynamo=False, opset_version=11
        )
    return path, twin


@pytest.mark.twins
@pytest.mark.parametrize("name", ["insightface_mobilefacenet", "arcface_mobilefacenet"])
def test_folded_exports_load_as_what_they_are(exported, name, images, tmp_path):
    import torch

    path, twin = exported
    backbone = load_backbone(name, path)
    pixels = backbone.preprocess(images)
    with torch.inference_mode():
        theirs = twin(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()
    ours = embed(backbone, images)
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    record = provenance_record(backbone)
    assert record["folded"] is True
    json.dumps(record)
    # Fewer parameters than the trained network: the folded BatchNorms' scales are gone.
    shapes = architecture(name).blueprint.shapes
    trained = sum(np.prod(s) for p, s in shapes.items() if p.startswith("params/"))
    assert sum(x.size for x in jax.tree.leaves(backbone.params)) < trained
    converted = tmp_path / "converted.safetensors"
    convert_weights(path, converted, name)
    again = load_backbone(None, converted)
    assert (again.name, again.provenance.folded) == (name, True)
    assert (embed(again, images) == ours).all()


@pytest.mark.twins
def test_the_graph_gives_what_the_port_gives(exported, images):
    path, _ = exported
    port = load_backbone("insightface_mobilefacenet", path)
    graph = load_backbone("onnx", path)
    assert graph.provenance.folded is True
    assert graph.preprocessing == port.preprocessing
    assert graph.embedding_dim == port.embedding_dim
    reference = embed(port, images)
    ours = jax.jit(graph.apply_fn)(graph.params, graph.preprocess(images))
    assert np.abs(ours - reference).max() <= 1e-5 * reference.max()


@pytest.mark.twins
def test_exports_of_another_network_are_refused_with_the_way_out(exported):
    path, _ = exported
    with pytest.raises(InputError) as error:
        load_backbone("insightface_iresnet50", path)
    assert str(error.value).endswith("--backbone onnx")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["loss_fn.W", "metric_fc.weight", "arcface.weight"])
def test_a_lab_s_own_prefix_and_head_are_said(state, images, expected, tmp_path, head):
    path = tmp_path / "lab.safetensors"
    save_file({**under("feat_net.", state), head: np.ones((5, 128), np.float32)}, path)
    backbone = load_backbone("demo", path)
    assert (embed(backbone, images) == expected).all()
    prefix, ignored = backbone.provenance.notes
    assert "without the prefix feat_net." in prefix
    assert f"ignored {head}: no part of the network" in ignored


def test_an_average_counts_its_updates_as_batchnorms_do(
    state, images, expected, tmp_path
):
    path = tmp_path / "swa.safetensors"
    save_file({**under("module.", state), "n_averaged": np.array(5)}, path)
    backbone = load_backbone("demo", path)
    assert (embed(backbone, images) == expected).all()
    assert backbone.provenance.ignored["n_averaged"] == "counter of the training"
    assert not any("n_averaged" in note for note in backbone.provenance.notes)


@pytest.mark.parametrize("inside", ["layer1.9.extra", "fc.extra", "layer1.0.se.weight"])
def test_more_inside_the_network_is_another_network(state, tmp_path, inside):
    path = tmp_path / "more.safetensors"
    save_file({**state, inside: np.ones(3, np.float32)}, path)
    with pytest.raises(InputError, match="1 tensor unexpected") as error:
        load_backbone("demo", path)
    assert "it fits no network" in str(error.value)
    assert "--backbone onnx" in str(error.value)


@pytest.mark.parametrize(
    "names", [["parametrizations.weight.original0"], ["weight_g", "weight_v"]]
)
def test_a_reparametrised_weight_is_told(state, tmp_path, names):
    path = tmp_path / "norm.safetensors"
    kernel = state["conv1.weight"]
    rest = {key: each for key, each in state.items() if key != "conv1.weight"}
    save_file({**rest, **{f"conv1.{name}": kernel for name in names}}, path)
    with pytest.raises(InputError, match="remove_parametrizations"):
        load_backbone("demo", path)


def test_masks_in_a_file_are_applied_or_left_out(state, images, expected, tmp_path):
    path = tmp_path / "pruned.safetensors"
    kernel = state["fc.weight"]
    mask = (np.abs(kernel) > np.median(np.abs(kernel))).astype(np.float32)
    rest = {key: each for key, each in state.items() if key != "fc.weight"}
    save_file({**rest, "fc.weight_orig": kernel, "fc.weight_mask": mask}, path)
    assert (embed(load_backbone("demo", path, dense=True), images) == expected).all()
    save_file({**rest, "fc.weight": kernel * mask}, tmp_path / "removed.safetensors")
    removed = embed(load_backbone("demo", tmp_path / "removed.safetensors"), images)
    assert (embed(load_backbone("demo", path), images) == removed).all()
    assert (removed != expected).any()
    convert_weights(path, tmp_path / "own.safetensors", "demo", dense=True)
    own = load_backbone(None, tmp_path / "own.safetensors")
    assert (embed(own, images) == expected).all()


@pytest.mark.slow
def test_the_network_is_told_from_its_tensors_where_they_fit_one(state, tmp_path):
    path = tmp_path / "which.safetensors"
    save_file(under("model.", draw("curricularface_ir50")), path)
    assert load_backbone(None, path).name == "curricularface_ir50"
    save_file(draw("arcface_iresnet18"), path)
    with pytest.raises(InputError, match="arcface_iresnet18 or magface_iresnet18"):
        load_backbone(None, path)
    save_file({"some.weight": np.ones(3, np.float32)}, path)
    with pytest.raises(InputError, match="fit no network"):
        load_backbone(None, path)


def test_pixels_override_and_are_kept(state, tmp_path, images):
    path = tmp_path / "bare.safetensors"
    save_file(state, path)
    backbone = load_backbone("demo", path, pixels="bgr,0,255")
    assert backbone.preprocessing.describe() == "112×112 BGR, (x - 0) / 255"
    converted = tmp_path / "converted.safetensors"
    convert_weights(path, converted, "demo", pixels="BGR,0,255")
    assert load_backbone(None, converted).preprocessing == backbone.preprocessing
    for wrong in ("RGB", "RGBA,1,2", "RGB,1,0", "RGB,1,-1", "RGB,nan,1", "RGB,1,x", ""):
        with pytest.raises(InputError, match="CHANNELS,MEAN,STD"):
            load_backbone("demo", path, pixels=wrong)


def test_onnx_names_no_architecture_of_other_files(state, tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file(state, path)
    with pytest.raises(InputError, match="runs ONNX files"):
        load_backbone("onnx", path)
    with pytest.raises(InputError, match="cannot hold"):
        convert_weights(tmp_path / "x.onnx", tmp_path / "y.safetensors", "onnx")
