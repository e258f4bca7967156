"""The PyTorch twins are the official networks: same keys, same outputs."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from backbones.twins import zoo
from backbones.twins.ir import adaface_ir, curricularface_ir
from backbones.twins.iresnet import iresnet

pytestmark = [pytest.mark.twins, pytest.mark.usefixtures("one_thread")]

MANIFESTS = [
    "adaface_ir50",
    "adaface_ir101",
    "arcface_iresnet18",
    "arcface_iresnet34",
    "arcface_iresnet50",
    "arcface_iresnet100",
    "arcface_mobilefacenet",
    "arcface_vit_t",
    "curricularface_ir101",
    "elasticface_iresnet100",
    "grafiqs_iresnet100",
    "magface_iresnet100",
    "mobilefacenet_068",
    "xiaoccer_mobilefacenet",
]
# Parameters of the published code; those with a manifest are compared with it.
PARAMETERS = {
    "arcface_iresnet200": 118_833_920,
    "arcface_vit_s": 76_023_296,
    "arcface_vit_b": 113_833_472,
    "arcface_vit_l": 255_684_352,
    "arcface_vit_h": 756_393_984,
}


def without_weights(make):
    with torch.device("meta"):
        return make()


@pytest.mark.weights
@pytest.mark.parametrize("name", MANIFESTS)
def test_keys_order_and_shapes_are_the_official_ones(name, shared):
    manifest = json.loads(shared(f"golden/{name}.manifest.json").read_text())
    twin = without_weights(zoo.FULL_SIZE[name])
    ours = [(key, list(value.shape)) for key, value in twin.state_dict().items()]
    assert ours == [(entry["name"], entry["shape"]) for entry in manifest["entries"]]


@pytest.mark.parametrize("name", PARAMETERS)
def test_counts_of_the_published_code(name):
    twin = without_weights(zoo.FULL_SIZE[name])
    assert sum(p.numel() for p in twin.parameters()) == PARAMETERS[name]


def test_squeeze_and_excitation_is_named_as_in_each_project():
    tiny = {"blocks": (1,), "widths": (32,), "se": True}
    elastic = iresnet(**tiny).state_dict()
    assert elastic["layer1.0.se_block.fc1.weight"].shape == (2, 32, 1, 1)
    assert elastic["layer1.0.se_block.fc2.weight"].shape == (32, 2, 1, 1)
    assert "body.0.res_layer.5.fc1.weight" in curricularface_ir(**tiny).state_dict()
    assert "body.0.res_layer.se_block.fc2.weight" in adaface_ir(**tiny).state_dict()


def official_state(name, manifest, shared, golden_weights):
    if manifest["weights"]["kind"] == "golden":
        state = golden_weights.golden_state_dict(
            manifest, seed=manifest["weights"]["seed"]
        )
        assert golden_weights.state_dict_digest(state) == manifest["weights_sha256"]
        return {key: torch.from_numpy(value) for key, value in state.items()}
    path = shared(f"weights/{name}.ckpt")
    return torch.load(path, map_location="cpu", weights_only=True)["net_state_dict"]


@pytest.mark.weights
@pytest.mark.parametrize(
    "name",
    [
        "adaface_ir50",
        "arcface_iresnet18",
        "arcface_mobilefacenet",
        "arcface_vit_t",
        "curricularface_ir101",
        "magface_iresnet100",
        "mobilefacenet_068",
        "xiaoccer_mobilefacenet",
    ],
)
def test_outputs_of_every_layer_are_the_official_ones(name, shared, golden_weights):
    arrays = np.load(shared(f"golden/{name}.npz"))
    manifest = json.loads(shared(f"golden/{name}.manifest.json").read_text())
    twin = zoo.full_size(name).double()
    twin.load_state_dict(official_state(name, manifest, shared, golden_weights))
    seen = {}
    for path, module in twin.named_modules():
        module.register_forward_hook(
            lambda _module, _inputs, output, path=path: seen.update(
                {path: (output.mean().item(), output.square().mean().sqrt().item())}
            )
        )

    spec, pixels = manifest["images"], manifest["preprocessing"]
    rgb_images = golden_weights.golden_images(
        spec["n"], spec["height"], spec["width"], seed=spec["seed"]
    )
    if pixels["channels"] == "BGR":
        rgb_images = rgb_images[..., ::-1]
    images = (rgb_images - np.array(pixels["mean"])) / np.array(pixels["std"])
    with torch.no_grad():
        ours = twin(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()

    names = arrays["tap_names"].tolist()
    compared = 0
    for path, mean, rms in zip(
        names, arrays["tap_mean_f64"], arrays["tap_rms_f64"], strict=True
    ):
        if path in seen:  # a dropout of the original has no twin
            compared += 1
            assert abs(seen[path][0] - mean) <= 1e-12 * rms, path
            assert abs(seen[path][1] - rms) <= 1e-12 * rms, path
    assert compared >= len(names) - 1
    reference = arrays["embedding_f64"]
    unit, official = (
        rows / np.linalg.norm(rows, axis=-1, keepdims=True)
        for rows in (ours, reference)
    )
    assert np.abs(unit - official).max() <= 1e-12
    assert np.abs(ours - reference).max() <= 1e-12 * np.abs(reference).max()
