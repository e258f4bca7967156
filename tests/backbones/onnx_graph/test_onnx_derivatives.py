"""Jacobian-vector products of interpreted graphs: against differences, and batched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

RNG = np.random.default_rng(1)


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


POINTWISE = [
    ("Relu", {}),
    ("LeakyRelu", {"alpha": 0.3}),
    ("Elu", {}),
    ("Gelu", {}),
    ("HardSwish", {}),
    ("HardSigmoid", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("Erf", {}),
    ("Softplus", {}),
    ("Mish", {}),
    ("Exp", {}),
    ("Abs", {}),
]
# Each follows a convolution, h, of 4 channels and 9×8 pixels.
TAILS = {
    "norm": (
        17,
        [("BatchNormalization", "h s o m v", "n"), ("PRelu", "n a", "y")],
        {
            "s": positive(4),
            "o": floats(4),
            "m": floats(4),
            "v": positive(4),
            "a": floats(4, 1, 1),
        },
    ),
    "depthwise": (
        17,
        [("Conv", "h k c", "y", {"group": 4, "pads": [1, 1, 1, 1]})],
        {"k": floats(4, 1, 3, 3), "c": floats(4)},
    ),
    "grouped": (
        17,
        [("Conv", "h k", "y", {"group": 2, "strides": [2, 2]})],
        {"k": floats(6, 2, 3, 3)},
    ),
    "whole": (17, [("Conv", "h k", "y", {"group": 4})], {"k": floats(4, 1, 9, 8)}),
    "dense": (
        17,
        [("Flatten", "h", "f"), ("Gemm", "f k c", "y", {"transB": 1, "alpha": 0.5})],
        {"k": floats(5, 288), "c": floats(5)},
    ),
    "layer-norm": (
        17,
        [("LayerNormalization", "h s o", "y", {"axis": -1})],
        {"s": positive(8), "o": floats(8)},
    ),
    "instance-norm": (
        17,
        [("InstanceNormalization", "h s o", "y")],
        {"s": positive(4), "o": floats(4)},
    ),
    "max-pool": (
        17,
        [("MaxPool", "h", "y", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})],
        {},
    ),
    "average-pool": (
        17,
        [("AveragePool", "h", "y", {"kernel_shape": [3, 2], "strides": [2, 2]})],
        {},
    ),
    "attention": (
        17,
        [
            ("Reshape", "h shape", "r"),
            ("Transpose", "r", "t", {"perm": [0, 2, 1]}),
            ("MatMul", "t k", "q"),
            ("MatMul", "q r", "l"),
            ("Softmax", "l", "p"),
            ("MatMul", "p t", "z"),
            ("Add", "z pos", "y"),
        ],
        {"shape": np.array([0, 4, -1]), "k": floats(4, 4), "pos": floats(1, 72, 4)},
    ),
    "norms": (
        17,
        [
            ("ReduceL2", "h", "n", {"axes": [1]}),
            ("Div", "h n", "d"),
            ("LpNormalization", "d", "e", {"axis": 2}),
            ("Pow", "e two", "y"),
        ],
        {"two": np.float32(2)},
    ),
    "activations": (
        20,
        [
            *(
                (operator, "h", operator, attributes)
                for operator, attributes in POINTWISE
            ),
            (
                "Concat",
                " ".join(operator for operator, _ in POINTWISE),
                "y",
                {"axis": 1},
            ),
        ],
        {},
    ),
    "global-max-pool": (17, [("GlobalMaxPool", "h", "y")], {}),
    "clip": (
        17,
        [("Clip", "h l u", "y")],
        {"l": np.float32(-0.3), "u": np.float32(0.4)},
    ),
}


def network_of(name, tmp_path, write, ours):
    opset, nodes, weights = TAILS[name]
    weights = {"w": floats(4, 3, 3, 3), "b": floats(4), **weights}
    nodes = [("Conv", "x w b", "h", {"pads": [1, 1, 1, 1]}), *nodes]
    path = write(tmp_path / "net.onnx", nodes, weights, opset=opset)
    return ours(path, np.float64)


def direction(params):
    return jax.tree.map(lambda p: RNG.normal(0, 1, p.shape), params)


@pytest.mark.slow
@pytest.mark.parametrize("name", TAILS)
def test_jvp_equals_the_central_difference(name, tmp_path, write, ours):
    network = network_of(name, tmp_path, write, ours)
    images = RNG.normal(0, 1, (2, 9, 8, 3))
    params, statistics = network.params, network.statistics
    delta = direction(params)

    def along(step):
        moved = jax.tree.map(lambda p, d: p + step * d, params, delta)
        return network.network.apply(moved, statistics, images)

    @jax.jit
    def both(step):
        _, jvp = jax.jvp(along, (0.0,), (1.0,))
        return jvp, (along(step) - along(-step)) / (2 * step)

    jvp, difference = both(1e-6)
    size = float(jnp.abs(jvp).max())
    assert size > 1e-3
    assert np.abs(jvp - difference).max() <= 1e-6 * size


def test_linearize_and_vmap_equal_single_calls(tmp_path, write, ours):
    network = network_of("depthwise", tmp_path, write, ours)
    images = RNG.normal(0, 1, (3, 9, 8, 3))
    many = [direction(network.params) for _ in range(2)]
    stacked = jax.tree.map(lambda *d: np.stack(d), *many)

    def apply(params):
        return network.network.apply(params, network.statistics, images)

    @jax.jit
    def batched(params):
        _, push = jax.linearize(apply, params)
        return jax.vmap(push)(stacked), jax.vmap(apply)(stacked)

    @jax.jit
    def single(params, one):
        return jax.jvp(apply, (params,), (one,))[1], apply(one)

    pushed, rows = batched(network.params)
    for i, one in enumerate(many):
        jvp, row = single(network.params, one)
        np.testing.assert_allclose(pushed[i], jvp, rtol=0, atol=1e-12)
        np.testing.assert_allclose(rows[i], row, rtol=0, atol=1e-12)


def slope_at(value, nodes, weights, tmp_path, write, ours):
    """Differentiate a graph by its image, all of whose pixels have one value."""
    path = write(tmp_path / "net.onnx", nodes, weights, shape=(1, 3, 2, 2))
    network = ours(path)
    images = np.full((1, 2, 2, 3), value, np.float32)
    change = np.zeros_like(images)
    change[:, 0, 0] = 1

    def apply(x):
        return network.network.apply(network.params, network.statistics, x)

    _, jvp = jax.jvp(apply, (images,), (change,))
    return np.asarray(jvp).reshape(3, -1)[:, 0]


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "value", "expected"),
    [
        ("Relu", "x", {}, 0, 0),
        ("PRelu", "x a", {}, 0, -2),
        ("LeakyRelu", "x", {"alpha": 0.25}, 0, 0.25),
        ("Elu", "x", {"alpha": 0.5}, 0, 0.5),
        ("Clip", "x zero six", {}, 0, 0),
        ("Clip", "x zero six", {}, 6, 0),
        ("Abs", "x", {}, 0, 0),
        ("HardSigmoid", "x", {"alpha": 0.5, "beta": 0.0}, 0, 0),
        # Of four equal pixels the first is the maximum.
        ("MaxPool", "x", {"kernel_shape": [2, 2]}, 1, 1),
    ],
)
def test_kinks_are_as_in_pytorch(
    operator, inputs, attributes, value, expected, tmp_path, write, ours
):
    every = {
        "a": np.full((3, 1, 1), -2, np.float32),
        "zero": np.float32(0),
        "six": np.float32(6),
    }
    weights = {k: v for k, v in every.items() if k in inputs.split()}
    nodes = [(operator, inputs, "y", attributes)]
    found = slope_at(value, nodes, weights, tmp_path, write, ours)
    np.testing.assert_array_equal(found, expected)
