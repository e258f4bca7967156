"""SFace read as a graph: equal to ONNX Runtime, and to its port in Flax."""

import jax
import numpy as np
import pytest

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.functional import flatten, unflatten
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import embedding_jvp
from prefiqs_jax.trees import is_prunable, named_leaves

pytestmark = pytest.mark.weights
FILE = "weights/face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture(scope="module")
def path(shared):
    return shared(FILE)


@pytest.fixture(scope="module")
def port(path):
    return load_backbone("sface", path)


@pytest.fixture(scope="module")
def rgb_images():
    return np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)


def from_port(tree):
    """Rename and turn the tensors of the port as the graph has them."""
    turned = {}
    for name, leaf in flatten(tree).items():
        *scope, last = name.split("/")
        array = np.asarray(leaf)
        if name == "pre_fc1/kernel":
            # The port flattens (height, width, channels), the file channels first.
            array = array.reshape(7, 7, 1024, 128).transpose(2, 0, 1, 3)
            array = array.reshape(-1, 128)
        turned[f"{'_'.join(scope)}/{last}"] = array
    return unflatten(turned)


def as_float64(tree):
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def test_has_the_weights_of_the_port(path, port, ours):
    network = ours(path)
    expected = dict(named_leaves(from_port(port.params)))
    found = dict(named_leaves(network.params))
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
        assert is_prunable(name, array) == name.endswith("/kernel")
    traits = network.network
    assert (traits.input_size, traits.embedding_dim) == ((112, 112), 128)
    assert traits.scales_pixels
    assert traits.folded is False
    users = [node.operator for node in traits.users]
    assert users.count("Conv") == 27
    assert "DequantizeLinear" not in users


def test_equals_onnxruntime(path, rgb_images, ours, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    # The file lists its weights as inputs, too; without values for some of them.
    inputs = [i for i in model.graph.input if i.name == "data"]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options)
    pixels = rgb_images.astype(np.float32)
    found = ours(path)(pixels)
    for pixel, row in zip(pixels, found, strict=True):
        data = pixel[None].transpose(0, 3, 1, 2)
        (theirs,) = session.run(None, {"data": data})
        assert np.abs(row - theirs[0]).max() <= 1e-5 * np.abs(theirs).max()


def test_equals_the_port_with_its_jvp_in_float64(path, port, rgb_images, ours):
    network = ours(path, np.float64)
    mask = globally(magnitude)(port.params, sparsity=0.3)
    delta = as_float64(pruning_delta(port.params, mask))
    expected, expected_jvp = jax.jit(
        lambda p, d, x: embedding_jvp(port.apply_fn, p, d, x)
    )(as_float64(port.params), delta, port.preprocess(rgb_images, np.float64))
    found, jvp = jax.jit(
        lambda p, s, d, x: embedding_jvp(
            lambda p, x: network.network.apply(p, s, x), p, d, x
        )
    )(
        network.params,
        network.statistics,
        from_port(delta),
        rgb_images.astype(np.float64),
    )
    assert np.abs(found - expected).max() <= 1e-12
    assert np.abs(jvp - expected_jvp).max() <= 1e-12
    assert np.linalg.norm(jvp, axis=-1).min() > 1e-2
