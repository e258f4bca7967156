"""MXNet's LResNet-IR in NumPy, by its own names, against the module and our table."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from mxnet_writer import write_params

from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.networks import lresnet
from prefiqs_jax.backbones.networks.iresnet import IResNet
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import convert
from prefiqs_jax.weights.source import read_source

UNITS = (1, 2, 1, 1)
WIDTHS = (2, 3, 3, 4)
DIM = 5
NORM = ("gamma", "beta", "moving_mean", "moving_var")


@pytest.fixture(scope="module")
def plan():
    def build(rngs: nnx.Rngs) -> IResNet:
        return IResNet(UNITS, widths=WIDTHS, epsilon=2e-5, embedding_dim=DIM, rngs=rngs)

    return blueprint(build)


@pytest.fixture
def weights():
    """Give every tensor as MXNet has it; its names are written out, not derived."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"conv0_weight": (2, 3, 3, 3)}

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}_{part}": (channels,) for part in NORM})

    norm("bn0", 2)
    shapes["relu0_gamma"] = (2,)
    channels = 2
    for stage, (count, width) in enumerate(zip(UNITS, WIDTHS, strict=True), 1):
        for unit in range(1, count + 1):
            name = f"stage{stage}_unit{unit}"
            norm(f"{name}_bn1", channels)
            shapes[f"{name}_conv1_weight"] = (width, channels, 3, 3)
            norm(f"{name}_bn2", width)
            shapes[f"{name}_relu1_gamma"] = (width,)
            shapes[f"{name}_conv2_weight"] = (width, width, 3, 3)
            norm(f"{name}_bn3", width)
            if unit == 1:
                shapes[f"{name}_conv1sc_weight"] = (width, channels, 1, 1)
                norm(f"{name}_sc", width)
            channels = width
    norm("bn1", 4)
    shapes |= {"pre_fc1_weight": (DIM, 4 * 49), "pre_fc1_bias": (DIM,)}
    norm("fc1", DIM)
    return {name: rng.uniform(0.1, 1, shape) for name, shape in shapes.items()}


def convolve(x, kernel, stride):
    pad = kernel.shape[-1] // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return np.einsum("bchwij,ocij->bohw", windows, kernel, optimize=True)


def forward(p, pixels, fixed=("fc1",)):
    """Run LResNet-IR, channels first, in the type of its weights."""

    def norm(x, name):
        gamma, beta, mean, var = (p[f"{name}_{part}"] for part in NORM)
        gamma = np.ones_like(gamma) if name in fixed else gamma
        shape = (-1,) + (1,) * (x.ndim - 2)
        x = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 2e-5)
        return x * gamma.reshape(shape) + beta.reshape(shape)

    def prelu(x, name):
        return np.where(x > 0, x, p[f"{name}_gamma"].reshape(-1, 1, 1) * x)

    x = prelu(norm(convolve(pixels, p["conv0_weight"], 1), "bn0"), "relu0")
    for stage, count in enumerate(UNITS, 1):
        for unit in range(1, count + 1):
            name = f"stage{stage}_unit{unit}"
            stride = 2 if unit == 1 else 1
            y = convolve(norm(x, f"{name}_bn1"), p[f"{name}_conv1_weight"], 1)
            y = prelu(norm(y, f"{name}_bn2"), f"{name}_relu1")
            y = norm(convolve(y, p[f"{name}_conv2_weight"], stride), f"{name}_bn3")
            if unit == 1:
                x = convolve(x, p[f"{name}_conv1sc_weight"], stride)
                x = norm(x, f"{name}_sc")
            x = x + y
    flat = norm(x, "bn1").reshape(len(x), -1)
    return norm(flat @ p["pre_fc1_weight"].T + p["pre_fc1_bias"], "fc1")


def embed(plan, weights, entries):
    tensors, _ = convert(weights, entries, lresnet.IGNORABLE, plan.shapes)
    params, apply = bind(plan, tensors)
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, 3, 112, 112))
    images = jnp.asarray(pixels.transpose(0, 2, 3, 1))
    return pixels, np.asarray(jax.jit(apply)(params, images))


def assert_equal(ours, reference):
    assert ours.dtype == np.float64
    assert np.abs(ours - reference).max() <= 1e-12 * np.abs(reference).max()


@pytest.mark.slow
def test_equals_mxnets_graph(plan, weights):
    assert np.ptp(weights["fc1_gamma"]) > 0.1  # what MXNet ignores
    pixels, ours = embed(plan, weights, lresnet.mxnet_entries(plan.shapes))
    assert_equal(ours, forward(weights, pixels))


@pytest.mark.slow
def test_onnx_has_no_fixed_scales(plan, weights, tmp_path):
    entries = lresnet.entries_of_file(plan.shapes, tmp_path / "resnet100.onnx")
    pixels, ours = embed(plan, weights, entries)
    assert_equal(ours, forward(weights, pixels, fixed=()))


def symbol(weights, epsilon="2e-05", fixed=("fc1",), skip=""):
    names = {n.removesuffix("_beta") for n in weights if n.endswith("_beta")} - {skip}
    nodes: list[dict] = [{"op": "Convolution", "name": "conv0", "attrs": {}}]
    for name in sorted(names):
        # Absent means fixed, which is MXNet's default.
        attributes = {"eps": epsilon} | (
            {} if name in fixed else {"fix_gamma": "False"}
        )
        nodes.append({"op": "BatchNorm", "name": name, "attrs": attributes})
    return json.dumps({"nodes": nodes})


def test_a_checkpoint_with_its_symbol(plan, weights, tmp_path):
    path = tmp_path / "model-0000.params"
    roles = {True: "aux", False: "arg"}
    named = {f"{roles['moving' in n]}:{n}": w for n, w in weights.items()}
    write_params(path, named | {"arg:fc7_weight": np.ones((3, DIM))}, age="v1")
    tensors = {n: w.astype(float) for n, w in read_source(path).tensors.items()}
    table = lresnet.entries_of_file(plan.shapes, path)
    pixels, alone = embed(plan, tensors, table)
    assert_equal(alone, forward(tensors, pixels))

    fixed = ("bn0", "stage2_unit2_bn3")
    (tmp_path / "model-symbol.json").write_text(symbol(weights, fixed=fixed))
    table = lresnet.entries_of_file(plan.shapes, path)
    _, ours = embed(plan, tensors, table)
    assert_equal(ours, forward(tensors, pixels, fixed))
    assert np.abs(ours - alone).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": "0.001"}, "bn0 has epsilon 0.001"),
        ({"skip": "stage2_unit2_bn3"}, "no BatchNorm stage2_unit2_bn3"),
    ],
)
def test_the_symbol_of_another_network(plan, weights, tmp_path, change, said):
    (tmp_path / "model-symbol.json").write_text(symbol(weights, **change))
    with pytest.raises(InputError, match=rf"model-symbol\.json: .*{said}"):
        lresnet.entries_of_file(plan.shapes, tmp_path / "model-0012.params")


def test_the_depth_comes_from_the_names(weights):
    units = {1: 3, 2: 13, 3: 30, 4: 3}
    names = [
        f"stage{s}_unit{u}_bn1_gamma" for s, n in units.items() for u in range(1, n + 1)
    ]
    recognises = architecture("mxnet_iresnet100").recognises
    assert recognises(names)
    assert not recognises(names[:-1])
    assert not recognises(weights)
    assert not recognises(["layer1.0.bn1.weight"])


def test_not_finite_weights_are_named_even_where_ignored(plan, weights):
    weights["fc1_gamma"][0] = np.nan
    with pytest.raises(InputError, match="fc1_gamma"):
        embed(plan, weights, lresnet.mxnet_entries(plan.shapes))
