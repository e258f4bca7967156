"""Any JAX function as a network: closed forms, what may be pruned, what is refused."""

import dataclasses
import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import prefiqs_jax
from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.identity import network_settings, weights_digest
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import as_folder
from prefiqs_jax.masks import Context, mask_named
from prefiqs_jax.sweep import SweepOptions, sweep
from prefiqs_jax.trees import is_prunable, named_leaves

SIDE = 6
SHAPE = (SIDE, SIDE, 3)
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (4, *SHAPE), np.uint8)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def linear(params, images):
    return images.reshape(len(images), -1) @ params["fc"]


def convolved(images, kernel):
    """Convolve NHWC images with an HWIO kernel, no padding, in NumPy's float64."""
    windows = np.lib.stride_tricks.sliding_window_view(
        images.astype(np.float64), kernel.shape[:2], axis=(1, 2)
    )
    return np.einsum("byxchw,hwco->byxo", windows, kernel)


def normalised(x, mean, var, scale, bias, epsilon):
    return (x - mean) / np.sqrt(var + epsilon) * scale + bias


STATISTICS = (draw(4), np.abs(draw(4)) + 0.5)  # mean and variance
AFFINE = (draw(4), draw(4))  # scale and bias
KERNEL, BIAS = draw(3, 3, 3, 4), draw(4)
DENSE, OFFSET = draw(64, 5), draw(5)


def expected(images, epsilon):
    """Compute conv, BatchNorm by running statistics, ReLU and a dense layer."""
    x = normalised(convolved(images, KERNEL) + BIAS, *STATISTICS, *AFFINE, epsilon)
    return np.maximum(x, 0).reshape(len(x), -1) @ DENSE + OFFSET


class NNXNet(nnx.Module):
    def __init__(self, strides=1, activation=nnx.relu):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 4, (3, 3), strides=strides, padding="VALID", rngs=rngs)
        self.bn = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.fc = nnx.Linear(64, 5, rngs=rngs)
        self.activation = activation
        held: Any = (
            (self.conv.kernel, KERNEL),
            (self.conv.bias, BIAS),
            (self.bn.mean, STATISTICS[0]),
            (self.bn.var, STATISTICS[1]),
            (self.bn.scale, AFFINE[0]),
            (self.bn.bias, AFFINE[1]),
            (self.fc.kernel, DENSE),
            (self.fc.bias, OFFSET),
        )
        for variable, value in held:
            variable.set_value(jnp.asarray(value))

    def __call__(self, images):
        x = self.dropout(self.activation(self.bn(self.conv(images))))
        return self.fc(x.reshape(len(x), -1))


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, images, train):
        x = linen.Conv(4, (3, 3), padding="VALID", name="conv")(images)
        x = linen.BatchNorm(use_running_average=not train, name="bn")(x)
        x = linen.Dropout(0.5, deterministic=not train)(linen.relu(x))
        return linen.Dense(5, name="fc")(x.reshape(len(x), -1))


LINEN_VARIABLES = {
    "params": {
        "conv": {"kernel": KERNEL, "bias": BIAS},
        "bn": {"scale": AFFINE[0], "bias": AFFINE[1]},
        "fc": {"kernel": DENSE, "bias": OFFSET},
    },
    "batch_stats": {"bn": {"mean": STATISTICS[0], "var": STATISTICS[1]}},
}


def equinox_network():
    """Give the same network in equinox, channels first, and its state."""
    eqx: Any = pytest.importorskip("equinox")

    class Net(eqx.Module):
        conv: Any
        bn: Any
        dropout: Any
        fc: Any

        def __init__(self):
            one, other = jax.random.split(jax.random.key(0))
            self.conv = eqx.nn.Conv2d(3, 4, 3, key=one)
            self.bn = eqx.nn.BatchNorm(4, "batch", mode="ema", dtype=jnp.float32)
            self.dropout = eqx.nn.Dropout(0.5)
            self.fc = eqx.nn.Linear(64, 5, key=other)

        def __call__(self, image, state):
            x, state = self.bn(self.conv(image), state)
            return self.fc(self.dropout(jax.nn.relu(x)).ravel()), state

    net, state = eqx.nn.make_with_state(Net)()
    # Rows of the dense layer are in the order (height, width, channel) in Flax.
    rows = DENSE.reshape(4, 4, 4, 5).transpose(2, 0, 1, 3).reshape(64, 5)
    net = eqx.tree_at(
        lambda n: (
            *(n.conv.weight, n.conv.bias, n.bn.weight, n.bn.bias),
            *(n.fc.weight, n.fc.bias),
        ),
        net,
        tuple(
            map(
                jnp.asarray,
                (
                    *(KERNEL.transpose(3, 2, 0, 1), BIAS[:, None, None], *AFFINE),
                    *(rows.T, OFFSET),
                ),
            )
        ),
    )
    index = net.bn.ema_state_index
    return net, state.set(index, tuple(map(jnp.asarray, STATISTICS)))


def backbones():
    yield "nnx", prefiqs_jax.from_nnx(NNXNet(), SHAPE)
    yield (
        "linen",
        prefiqs_jax.from_linen(LinenNet(), LINEN_VARIABLES, SHAPE, train=False),
    )
    yield "equinox", prefiqs_jax.from_equinox(*equinox_network(), SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nnx", "linen", "equinox"])
def test_a_module_computes_what_numpy_does(kind):
    """Running statistics, no dropout, image by image; only weights can be pruned."""
    backbone = dict(backbones())[kind]
    images = backbone.preprocess(RGB)
    found = backbone.apply_fn(backbone.params, images)
    np.testing.assert_allclose(found, expected(images, 1e-5), rtol=1e-4, atol=1e-4)
    alone = backbone.apply_fn(backbone.params, images[1:2])
    np.testing.assert_allclose(alone[0], found[1], rtol=1e-5, atol=1e-5)
    assert backbone.embedding_dim == 5
    assert backbone.name in ("NNXNet", "LinenNet", "Net")
    leaves = dict(named_leaves(backbone.params))
    assert sum(np.size(leaf) for leaf in leaves.values()) == 108 + 4 + 8 + 320 + 5
    prunable = {name for name, leaf in leaves.items() if is_prunable(name, leaf)}
    assert {np.size(leaves[name]) for name in prunable} == {108, 320}
    assert len(prunable) == 2


def test_a_module_is_left_as_it_is():
    module = NNXNet()
    module.train()
    backbone = prefiqs_jax.from_nnx(module, SHAPE, "mine")
    assert not module.dropout.deterministic
    assert backbone.name == "mine"
    bias: Any = module.fc.bias
    bias.set_value(bias[...] + 1)
    images = backbone.preprocess(RGB)
    found = backbone.apply_fn(backbone.params, images)
    np.testing.assert_allclose(found, expected(images, 1e-5), rtol=1e-4, atol=1e-4)


def test_equinox_without_state_and_channels_last():
    eqx: Any = pytest.importorskip("equinox")
    net = eqx.nn.Linear(3, 5, use_bias=False, key=jax.random.key(1), dtype=jnp.float32)

    class Mean(eqx.Module):
        fc: Any

        def __call__(self, image):
            assert image.shape == SHAPE
            return self.fc(image.mean(axis=(0, 1)))

    backbone = prefiqs_jax.from_equinox(Mean(net), None, SHAPE, channels_first=False)
    images = backbone.preprocess(RGB)
    found = backbone.apply_fn(backbone.params, images)
    wanted = images.mean((1, 2)) @ np.asarray(net.weight).T
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "check"),
    [
        # Each of the four filters (O first) stays or goes whole.
        ("filters/l1", lambda conv, fc: conv.reshape(4, -1).any(1).sum() == 2),
        # The same number of each output's 27 and 64 weights goes.
        (
            "output/wanda",
            lambda conv, fc: (
                set((~conv).reshape(4, -1).sum(1)) == {14} and set((~fc).sum(1)) == {32}
            ),
        ),
        # Of four consecutive inputs of an output two stay; 3 channels do not divide.
        (
            "2:4/magnitude",
            lambda conv, fc: conv.all() and (fc.reshape(5, 16, 4).sum(2) == 2).all(),
        ),
    ],
)
def test_masks_know_the_axes_of_equinox(mask, check):
    backbone = prefiqs_jax.from_equinox(*equinox_network(), SHAPE)
    context = Context(backbone.apply_fn, backbone.preprocess(RGB))
    bound = context.bind(backbone.params)
    assert bound.axes("conv/weight", 3) == (0, 1)
    assert bound.axes("fc/weight", 1) == (0, 1)
    made = mask_named(mask)(backbone.params, 0.5, context)
    kept = dict(named_leaves(made))
    assert check(kept["conv/weight"], kept["fc/weight"])
    assert all(keep.all() for name, keep in kept.items() if not name.endswith("weight"))
    assert kept["bn/weight"].all()


def test_masks_of_equinox_and_flax_are_the_same():
    """Wanda's choice does not depend on the library that lays the weights out."""
    found = {}
    for kind, backbone in backbones():
        context = Context(backbone.apply_fn, backbone.preprocess(RGB))
        made = dict(
            named_leaves(mask_named("output/wanda")(backbone.params, 0.5, context))
        )
        conv = next(v for v in made.values() if np.size(v) == 108)
        found[kind] = conv.transpose(2, 3, 1, 0) if kind == "equinox" else conv
    assert (found["nnx"] == found["linen"]).all()
    assert (found["nnx"] == found["equinox"]).all()


def test_preprocessing_and_pixels():
    weights = {"fc": draw(108, 4)}
    backbone = prefiqs_jax.from_function(
        linear, weights, SHAPE, "mine", pixels="BGR,0,255"
    )
    assert backbone.preprocessing.describe() == "6×6 BGR, (x - 0) / 255"
    wanted = (RGB[..., ::-1] / 255).reshape(4, -1) @ weights["fc"]
    found = backbone.apply_fn(weights, backbone.preprocess(RGB))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def dies(params, images):
    message = "no such layer"
    raise RuntimeError(message)


@pytest.mark.parametrize(
    ("function", "shape", "told"),
    [
        (
            dies,
            SHAPE,
            r"mine: the function cannot be traced .*\(2, 6, 6, 3\): no such l",
        ),
        (lambda p, x: x @ p["fc"], SHAPE, "cannot be traced for images"),
        (lambda p, x: p["gone"], SHAPE, "cannot be traced for images .*gone"),
        (
            lambda p, x: x,
            SHAPE,
            r"gives \(2, 6, 6, 3\) .*must give embeddings of shape",
        ),
        (lambda p, x: linear(p, x)[:1], SHAPE, r"gives \(1, 4\) for two images"),
        (lambda p, x: linear(p, x).sum(), SHAPE, r"gives \(\) for two images"),
        (lambda p, x: (linear(p, x), 0), SHAPE, "gives tuple for two images"),
        (linear, (6, 7, 3), "cannot be traced for images of shape"),
        (linear, (6, 6), r"input_shape \(6, 6\) is not \(height, width, 3\)"),
        (linear, (6, 6, 1), r"input_shape \(6, 6, 1\) is not"),
        (linear, (0, 6, 3), r"input_shape \(0, 6, 3\) is not"),
    ],
)
def test_functions_that_cannot_be_used(function, shape, told):
    with pytest.raises(InputError, match=told) as caught:
        prefiqs_jax.from_function(function, {"fc": draw(108, 4)}, shape, "mine")
    assert "\n" not in str(caught.value)


def test_bad_modules():
    with pytest.raises(InputError, match="hold batch_stats, but no params; give both"):
        prefiqs_jax.from_linen(LinenNet(), {"batch_stats": {}}, SHAPE, train=False)
    only = {"params": LINEN_VARIABLES["params"]}
    with pytest.raises(InputError, match="LinenNet: the function cannot be traced"):
        prefiqs_jax.from_linen(LinenNet(), only, SHAPE, train=False)
    with pytest.raises(InputError, match="is not CHANNELS,MEAN,STD"):
        prefiqs_jax.from_nnx(NNXNet(), SHAPE, pixels="GREY")


FACTOR = 2.0


def scaled_by_global(params, images):
    return linear(params, images) * FACTOR


def closing_over(factor):
    def apply_fn(params, images):
        return linear(params, images) + factor

    return apply_fn


def other_body(params, images):
    return linear(params, jnp.square(images))


other_body.__qualname__ = "linear"
WEIGHTS = {"fc": draw(108, 4)}


@pytest.fixture
def run(tmp_path):
    def run(backbone):
        options = SweepOptions(progress=False, tune="never")
        mask = mask_named("global/magnitude")
        return sweep(
            backbone, as_folder(RGB), mask, [0.5], tmp_path / "run", options=options
        )

    return run


def from_function(function, weights=WEIGHTS):
    return prefiqs_jax.from_function(function, weights, SHAPE, "mine")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            lambda: from_function(linear),
            lambda: from_function(linear, {"fc": -WEIGHTS["fc"]}),
        ),
        (lambda: from_function(linear), lambda: from_function(other_body)),
        (
            lambda: from_function(closing_over(1.0)),
            lambda: from_function(closing_over(2.0)),
        ),
        (
            lambda: from_function(closing_over(np.array([[1, 2, 3, 4]], np.float32))),
            lambda: from_function(closing_over(np.array([[1, 2, 3, 5]], np.float32))),
        ),
        (
            lambda: prefiqs_jax.from_nnx(NNXNet(), SHAPE, "mine"),
            lambda: prefiqs_jax.from_nnx(NNXNet(activation=nnx.gelu), SHAPE, "mine"),
        ),
    ],
    ids=["weights", "body", "closure", "array in closure", "module's activation"],
)
def test_another_network_is_refused(run, first, second):
    out = run(first())
    run(first())  # built anew: the same one
    before = sorted((p.name, p.stat().st_mtime_ns) for p in out.iterdir())
    with pytest.raises(InputError, match="other weights: weights_sha256"):
        run(second())
    assert sorted((p.name, p.stat().st_mtime_ns) for p in out.iterdir()) == before


def test_a_global_variable_is_seen(monkeypatch):
    before = weights_digest(from_function(scaled_by_global))
    assert weights_digest(from_function(scaled_by_global)) == before
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3.0)
    assert weights_digest(from_function(scaled_by_global)) != before


def test_statistics_are_seen():
    """BatchNorm's running mean is no parameter, but another one is another network."""
    digests = set()
    for shift in (0, 1):
        stats = {"bn": {"mean": STATISTICS[0] + shift, "var": STATISTICS[1]}}
        variables = LINEN_VARIABLES | {"batch_stats": stats}
        made = prefiqs_jax.from_linen(LinenNet(), variables, SHAPE, train=False)
        digests.add(weights_digest(made))
    net, state = equinox_network()
    for shift in (0, 1):
        moved = jax.tree.map(lambda leaf: leaf, state).set(
            net.bn.ema_state_index,
            (jnp.asarray(STATISTICS[0] + shift), jnp.asarray(STATISTICS[1])),
        )
        digests.add(weights_digest(prefiqs_jax.from_equinox(net, moved, SHAPE)))
    assert len(digests) == 4


FILE = """
import jax
import jax.numpy as jnp
import numpy as np
import prefiqs_jax

@jax.custom_jvp
def double(x):
    return 2 * x

double.defjvp(lambda primals, tangents: (double(*primals), 2 * tangents[0]))

def apply_fn(params, images):
    return double(images.reshape(len(images), -1) @ params["fc"])

def build(weights=None):
    fc = jnp.asarray(np.arange(108 * 4, dtype=np.float32).reshape(108, 4))
    if weights is not None:
        fc = jnp.load(weights)
    return prefiqs_jax.from_function(apply_fn, {"fc": fc}, (6, 6, 3), "filed")

def strict(weights):
    return build(weights)

def without():
    return build()

def wrong():
    return 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(FILE)
    return path


def test_a_file_states_where_it_comes_from(file, tmp_path, sha256):
    np.save(tmp_path / "w.npy", WEIGHTS["fc"])
    backbone = load_backbone(f"{file}:build", tmp_path / "w.npy")
    found = backbone.provenance
    assert (found.file, found.sha256) == ("my_model.py", sha256(file))
    assert (found.source_file, found.source_sha256) == (
        "w.npy",
        sha256(tmp_path / "w.npy"),
    )
    assert backbone.name == "filed"
    other = load_backbone(f"{file}:build", pixels="BGR,0,255")
    assert other.preprocessing.describe() == "6×6 BGR, (x - 0) / 255"
    assert other.provenance.source_sha256 == sha256(file)
    assert weights_digest(other) != weights_digest(backbone)
    assert not list(tmp_path.glob("__pycache__"))


@pytest.mark.slow
def test_the_same_in_every_process(file):
    """Addresses of functions are no part of the identity."""
    words = (
        "import sys; from prefiqs_jax.backbones import load_backbone;"
        "from prefiqs_jax.backbones.identity import network_settings;"
        f"print(network_settings(load_backbone({f'{file}:build'!r}))['weights_sha256'])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", words],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize(
    ("function", "weights", "told"),
    [
        ("gone", None, "no function gone; it has: apply_fn, build, strict"),
        ("strict", None, "strict takes an argument; give --weights FILE"),
        ("without", "w.npy", "without takes no argument, so no weights"),
        ("build", "none.npy", r"none\.npy does not exist"),
        ("wrong", None, "wrong returned a int; return a Backbone"),
        ("build", "my_model.py", r"my_model\.py, line 19: ValueError: "),
    ],
)
def test_files_that_cannot_be_used(file, tmp_path, function, weights, told):
    np.save(tmp_path / "w.npy", WEIGHTS["fc"])
    given = None if weights is None else tmp_path / weights
    with pytest.raises(InputError, match=told) as caught:
        load_backbone(f"{file}:{function}", given)
    assert "\n" not in str(caught.value)


def test_a_file_that_fails_later_names_its_line(file):
    """At another batch size than it was traced with."""
    text = FILE.replace(
        "    return double(", "    assert len(images) < 3\n    return double("
    )
    file.write_text(text)
    backbone = load_backbone(f"{file}:build")
    line = text[: text.index("    assert")].count("\n") + 1
    told = rf"backbone file .*my_model\.py, line {line}: AssertionError"
    with pytest.raises(InputError, match=told):
        jax.jit(backbone.apply_fn)(backbone.params, backbone.preprocess(RGB))


def test_equinox_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(InputError, match="pip install equinox"):
        prefiqs_jax.from_equinox(object())


def test_settings_name_the_function():
    backbone = from_function(linear)
    assert network_settings(backbone)["function"] == "linear"
    exchanged = dataclasses.replace(backbone, apply_fn=other_body)
    assert weights_digest(exchanged) != weights_digest(backbone)
