"""Layers against JAX's own convolution, PyTorch, and the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from prefiqs_jax.backbones.convolutions.convolution import convolve, direct
from prefiqs_jax.backbones.convolutions.depthwise import shifted_depthwise
from prefiqs_jax.backbones.convolutions.winograd import winograd
from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.networks.iresnet import IResNet
from prefiqs_jax.backbones.networks.layers import PReLU, conv
from prefiqs_jax.backbones.zoo import ARCHITECTURES

COUNTS = {  # FIELD: parameters and tensors of the published code
    "arcface_iresnet18": (24_025_600, 187),
    "arcface_iresnet34": (34_139_328, 331),
    "arcface_iresnet50": (43_590_848, 475),
    "arcface_iresnet100": (65_156_160, 925),
    "arcface_iresnet200": (118_833_920, 1807),
}


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("extent", [7, 8])
def test_depthwise_equals_the_grouped_convolution(stride, extent):
    rng = np.random.default_rng(extent)
    x = jnp.asarray(rng.standard_normal((2, extent, extent + 1, 5)))
    kernel = jnp.asarray(rng.standard_normal((3, 3, 1, 5)))
    expected = jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=5,
    )
    ours = shifted_depthwise(x, kernel, stride, 1)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() < 1e-14


def draw(*shapes, dtype: type = np.float64):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def relative(ours, expected):
    assert ours.shape == expected.shape
    return np.abs(ours - expected).max() / np.abs(expected).max()


SIZES = [(2, 8, 8, 5), (1, 7, 9, 4), (3, 6, 5, 1), (2, 1, 2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SIZES)
def test_winograd_is_a_convolution(shape):
    x, kernel = draw(shape, (3, 3, shape[-1], 6))
    assert relative(winograd(x, kernel), direct(x, kernel)) < 1e-13


def test_winograd_in_single_precision():
    x, kernel = draw((2, 14, 14, 128), (3, 3, 128, 128))
    single = winograd(x.astype(np.float32), kernel.astype(np.float32))
    assert single.dtype == np.float32
    assert relative(single.astype(np.float64), direct(x, kernel)) < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize("moving", [(0,), (1,), (0, 1)])
def test_derivatives_of_winograd(moving):
    """Forward, reverse and linearised, in the input, in the filters, in both."""
    inputs = draw((2, 7, 6, 3), (3, 3, 3, 4))

    def of_moving(convolution):
        def function(*some):
            full = list(inputs)
            for position, value in zip(moving, some, strict=True):
                full[position] = value
            return convolution(*full)

        return function

    at = tuple(inputs[i] for i in moving)
    along = tuple(jnp.sin(3 * inputs[i]) for i in moving)

    @jax.jit
    def derive(at, along):
        ours, expected = of_moving(winograd), of_moving(direct)
        expected_tangent = jax.jvp(expected, at, along)[1]
        tangent = jax.jvp(ours, at, along)[1]
        stacked = [jnp.stack([a, -2 * a]) for a in along]
        pushed = jax.vmap(jax.linearize(ours, *at)[1])(*stacked)
        back = [jax.vjp(f, *at)[1](expected_tangent) for f in (ours, expected)]
        return expected_tangent, tangent, pushed, back

    expected_tangent, tangent, pushed, back = derive(at, along)
    assert relative(tangent, expected_tangent) < 1e-13
    assert relative(pushed[1], -2 * expected_tangent) < 1e-13
    for pulled, reference in zip(*back, strict=True):
        assert relative(pulled, reference) < 1e-13


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((2, 14, 14, 128), (3, 3, 128, 128), 1, 1),  # Winograd
        ((2, 9, 8, 5), (1, 1, 5, 7), 2, 0),  # pixels first
        ((2, 9, 8, 4), (3, 3, 4, 4), 2, 1),
        ((2, 9, 8, 6), (3, 3, 2, 9), 1, 1),  # groups
        ((2, 9, 8, 6), (3, 3, 3, 4), 2, 1),
        ((2, 9, 8, 10), (3, 3, 5, 4), 1, 1),  # larger ones
        ((2, 7, 7, 3), (7, 7, 3, 4), 1, 0),
    ],
)
def test_every_way_is_pytorchs_convolution(shape, kernel, stride, padding):
    torch = pytest.importorskip("torch")
    x, weights = draw(shape, kernel, dtype=np.float32)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(np.array(x, np.float64).transpose(0, 3, 1, 2)),
        torch.from_numpy(np.array(weights, np.float64).transpose(3, 2, 0, 1)),
        stride=stride,
        padding=padding,
        groups=shape[-1] // kernel[2],
    ).numpy()
    ours = np.asarray(convolve(x, weights, stride, padding), np.float64)
    assert relative(ours, expected.transpose(0, 2, 3, 1)) < 2e-6


def test_winograd_is_taken_where_it_wins():
    if jax.default_backend() != "cpu":
        pytest.skip("XLA's convolution is taken on an accelerator")

    def taken(height, channels, dtype: type = np.float32, stride=1):
        arguments = draw((1, height, height, channels), (3, 3, channels, channels))
        arguments = [a.astype(dtype) for a in arguments]
        program = jax.make_jaxpr(lambda x, k: convolve(x, k, stride, 1))(*arguments)
        return "winograd" in str(program)

    assert taken(14, 128)
    assert not taken(7, 128)
    assert not taken(14, 64)
    assert not taken(14, 128, dtype=np.float64)
    assert not taken(14, 128, stride=2)


def test_a_convolution_may_have_a_bias():
    layer = conv(2, 3, 3, 1, bias=True, padding=0, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 5, 4, 2), jnp.float32)
    before = layer(x)
    assert before.shape == (1, 3, 2, 3)
    layer.bias[...] = jnp.array([1, 2, 3], jnp.float32)
    assert jnp.allclose(layer(x) - before, layer.bias[...][None, None, None], atol=1e-6)


def test_prelu_has_a_slope_per_channel():
    layer = PReLU(3)
    layer.slope[...] = jnp.array([0.5, -1.0, 3.0], jnp.float32)
    x = jnp.asarray(np.array([[-2, -2, -2], [2, 2, 2], [0, 0, 0]], np.float32))
    assert layer(x).tolist() == [[-1, 2, -6], [2, 2, 2], [0, 0, 0]]
    _, at_zero = jax.jvp(layer, (x,), (jnp.ones_like(x),))
    assert at_zero[2].tolist() == [0.5, -1.0, 3.0]  # as in PyTorch


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_published_code(name):
    plan = ARCHITECTURES[name].blueprint
    params = sum(np.prod(s) for p, s in plan.shapes.items() if p.startswith("params"))
    # PyTorch counts batches in one tensor more for every BatchNorm.
    counters = sum(path.endswith("/mean") for path in plan.shapes)
    assert (params, len(plan.shapes) + counters) == COUNTS[name]


def test_no_random_weights_are_made():
    plan = ARCHITECTURES["arcface_iresnet50"].blueprint
    leaves = jax.tree.leaves((plan.params, plan.statistics))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)


def test_statistics_are_no_parameters():
    plan = blueprint(lambda rngs: IResNet((1, 1, 1, 1), rngs=rngs))
    names = {path.rpartition("/")[2] for path in plan.shapes if "params" in path}
    assert names == {"kernel", "bias", "scale", "slope"}


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1e-5, 2e-5])
def test_iresnet_equals_a_pytorch_twin(epsilon):
    """A tiny network of random weights, layer for layer as the original, in float64."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    stem, *_, last = widths = (6, 8, 10, 12)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.bn1 = nn.BatchNorm2d(inputs, eps=epsilon)
            self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs, eps=epsilon)
            self.prelu = nn.PReLU(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs, eps=epsilon)
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs, eps=epsilon),
            )

        def forward(self, x):
            y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
            return self.bn3(self.conv2(y)) + self.downsample(x)

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(stem, eps=epsilon)
            self.prelu = nn.PReLU(stem)
            inputs = stem
            for stage, width in enumerate(widths, 1):
                self.add_module(f"layer{stage}", nn.Sequential(Block(inputs, width, 2)))
                inputs = width
            self.bn2 = nn.BatchNorm2d(last, eps=epsilon)
            self.fc = nn.Linear(last * 49, 7)
            self.features = nn.BatchNorm1d(7, eps=epsilon)

        def forward(self, x):
            x = self.prelu(self.bn1(self.conv1(x)))
            for stage in range(1, 5):
                x = getattr(self, f"layer{stage}")(x)
            return self.features(self.fc(self.bn2(x).flatten(1)))

    from prefiqs_jax.backbones.mirror import pytorch_entries
    from prefiqs_jax.weights.mapping import convert

    torch.manual_seed(0)
    twin = Twin().double().eval()
    with torch.no_grad():
        for name, tensor in twin.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(1e-4, 1)  # small enough for epsilon to matter
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(-1, 1)
    state = {
        name: tensor.numpy()
        for name, tensor in twin.state_dict().items()
        if tensor.is_floating_point()
    }
    options = {"widths": widths, "epsilon": epsilon, "embedding_dim": 7}
    plan = blueprint(lambda rngs: IResNet((1, 1, 1, 1), rngs=rngs, **options))
    flattened = {"params/fc/kernel": (last, 7, 7)}
    tensors, _ = convert(state, pytorch_entries(plan.shapes, flattened))
    params, apply_fn = bind(plan, tensors)
    images = np.random.default_rng(1).standard_normal((2, 112, 112, 3))
    with torch.no_grad():
        expected = twin(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    ours = np.asarray(jax.jit(apply_fn)(params, images))
    assert np.abs(ours - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.slow
def test_split_network_is_what_flax_computes():
    rngs = nnx.Rngs(0)
    module = IResNet((1, 1, 1, 1), rngs=rngs)
    images = jnp.asarray(np.random.default_rng(0).random((1, 112, 112, 3), np.float32))
    plan = blueprint(lambda rngs: IResNet((1, 1, 1, 1), rngs=rngs))
    _, params, rest = nnx.split(module, nnx.Param, ...)
    from prefiqs_jax.backbones.functional import flatten

    both = {"params": nnx.to_pure_dict(params), "statistics": nnx.to_pure_dict(rest)}
    tree, apply_fn = bind(plan, {k: np.asarray(v) for k, v in flatten(both).items()})
    assert np.array_equal(apply_fn(tree, images), module(images))
