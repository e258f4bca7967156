"""Write small graphs, and run them here and in ONNX Runtime."""

import jax
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from prefiqs_jax.backbones.functional import unflatten
from prefiqs_jax.backbones.onnx_graph import read_network


def node(operator, inputs, outputs, **attributes):
    """Make a node; names are separated by spaces, and _ is one that is left out."""
    taken, given = (
        [n if n != "_" else "" for n in s.split()] for s in (inputs, outputs)
    )
    return helper.make_node(operator, taken, given, **attributes)


def write_graph(path, nodes, weights, *, opset=17, shape=("N", 3, 9, 8), out=None):
    """Write a graph from x to y, flattened to one row per image unless `out` is set."""
    made = [
        n if isinstance(n, onnx.NodeProto) else node(*n[:3], **dict(*n[3:]))
        for n in nodes
    ]
    if out is None:
        made.append(node("Flatten", "y", "embedding"))
        out = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    tensors = [numpy_helper.from_array(np.asarray(w), k) for k, w in weights.items()]
    graph = helper.make_graph(made, "net", [x], out, tensors)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
    )
    onnx.save(model, path)
    return path


class Ours:
    """A network that was read, with its weights, in a type."""

    def __init__(self, path, dtype=np.float32):
        self.network = read_network(path)
        arrays = {k: v.astype(dtype) for k, v in self.network.tensors.items()}
        tree = {"params": {}, "statistics": {}} | unflatten(arrays)
        self.params, self.statistics = tree["params"], tree["statistics"]
        self.apply = jax.jit(self.network.apply)

    def __call__(self, images):
        return np.asarray(self.apply(self.params, self.statistics, images))


def run_session(path, rgb_images, *, one_by_one=False):
    """Run ONNX Runtime on (batch, 3, height, width)."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options)
    name = session.get_inputs()[0].name
    batches = [p[None] for p in rgb_images] if one_by_one else [rgb_images]
    return np.concatenate([session.run(None, {name: b})[0] for b in batches])


@pytest.fixture(scope="session")
def write():
    return write_graph


@pytest.fixture(scope="session")
def make_node():
    return node


@pytest.fixture(scope="session")
def ours():
    return Ours


@pytest.fixture(scope="session")
def session():
    return run_session


def check_against_runtime(case, path):
    """Compare a case (opset, nodes, weights) with ONNX Runtime, on three images."""
    opset, nodes, weights = case
    write_graph(path, nodes, weights, opset=opset)
    rgb_images = np.random.default_rng(4).normal(0, 1, (3, 3, 9, 8)).astype(np.float32)
    expected = run_session(path, rgb_images)
    network = Ours(path)
    found = network(rgb_images.transpose(0, 2, 3, 1))
    assert found.shape == (3, network.network.embedding_dim)
    np.testing.assert_allclose(found, expected.reshape(3, -1), rtol=2e-5, atol=2e-5)


@pytest.fixture(scope="session")
def check():
    return check_against_runtime
