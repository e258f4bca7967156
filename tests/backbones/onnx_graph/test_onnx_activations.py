"""Kinks of a graph: the inputs of its nodes, as ONNX Runtime computes them."""

import jax
import numpy as np
import pytest

from prefiqs_jax.sensitivity import open_kinks, sides_of

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


WEIGHTS = {
    "first.weight": floats(4, 3, 3, 3),
    "act.weight": floats(4, 1, 1),
    "second.weight": 3 * floats(5, 4, 2, 2),
    "low": np.float32(0),
    "high": np.float32(6),
}
NODES = [
    ("Conv", "x first.weight", "a", {"pads": [1, 1, 1, 1]}),
    ("PRelu", "a act.weight", "b"),
    ("MaxPool", "b", "c", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("Conv", "c second.weight", "d"),
    ("Clip", "d low high", "e"),
    ("Sub", "e two", "f"),
    ("Abs", "f", "y"),
]
WEIGHTS["two"] = np.float32(2)
# Name to the node's input in the graph, and the threshold.
EXPECTED = {
    "act": ("a", 0),
    "after first": None,  # the maximum of two columns, then of two rows
    "after first (2)": None,
    "after second": ("d", 0),
    "after second at 6": ("d", 6),
    "after second (2)": ("f", 0),
}


@pytest.fixture
def rgb_images():
    return RNG.normal(0, 1, (3, 3, 9, 8)).astype(np.float32)


@pytest.fixture
def network(ours, write, tmp_path):
    return ours(write(tmp_path / "net.onnx", NODES, WEIGHTS))


@pytest.fixture
def apply_fn(network):
    return lambda p, x: network.network.apply(p, network.statistics, x)


def test_inputs(apply_fn, network, rgb_images, write, session, tmp_path):
    images = rgb_images.transpose(0, 2, 3, 1)
    opened = open_kinks(apply_fn, network.params, images)
    assert opened.names == tuple(EXPECTED)
    _, found = opened.observe(network.params, images)
    for name, at in EXPECTED.items():
        if at is None:
            continue
        value, threshold = at
        upto = [node[2] for node in NODES].index(value)
        nodes = [*NODES[: upto + 1], ("Identity", value, "y")]
        expected = session(write(tmp_path / "part.onnx", nodes, WEIGHTS), rgb_images)
        rows = np.moveaxis(np.asarray(found[name]), -1, -3).reshape(3, -1)
        # A value beyond the lower limit of a Clip is at it when the upper one is met.
        expected = np.maximum(expected, 0) if threshold else expected
        np.testing.assert_allclose(rows, expected - threshold, rtol=0, atol=1e-5)


def test_maximum_pool(apply_fn, network, rgb_images):
    """Which of each two is the larger: windows of 2 × 2, columns before rows."""
    images = rgb_images.transpose(0, 2, 3, 1)
    _, found = open_kinks(apply_fn, network.params, images).observe(
        network.params, images
    )
    found = {name: np.asarray(value) for name, value in found.items()}
    a, slope = found["act"][:, 0], WEIGHTS["act.weight"][:, 0, 0]
    x = np.where(a > 0, a, slope * a)[:, :8]
    columns = x[:, :, 1::2] - x[:, :, ::2]
    wide = np.maximum(x[:, :, 1::2], x[:, :, ::2])
    rows = wide[:, 1::2] - wide[:, ::2]
    ours = found["after first"][:, 0]
    assert np.abs(ours[:, :8] - columns).max() < 1e-6
    assert np.abs(found["after first (2)"][:, 0] - rows).max() < 1e-6


@pytest.mark.slow
def test_frozen(apply_fn, network, rgb_images):
    images, params = rgb_images.transpose(0, 2, 3, 1), network.params
    opened = open_kinks(apply_fn, params, images)
    other = jax.tree.map(lambda w: 0.5 * w[::-1], params)

    @jax.jit
    def compute(params, other, images):
        sides = sides_of(opened.observe(params, images)[1])
        pulled = []
        for function in (
            lambda p: apply_fn(p, images),
            lambda p: opened.frozen(p, images, sides),
        ):
            raw, pull = jax.vjp(function, params)
            pulled.append([raw, *jax.tree.leaves(pull(raw))])
        return pulled, apply_fn(other, images) - opened.frozen(other, images, sides)

    pulled, difference = compute(params, other, images)
    for one, two in zip(*pulled, strict=True):
        assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()
    assert np.abs(difference).max() > 0.1
