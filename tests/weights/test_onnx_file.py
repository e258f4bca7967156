import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights import onnx_file

RNG = np.random.default_rng(0)
ADD = helper.make_node("Add", ["x", "w"], ["y"])


def write(path, nodes, weights, opset=21, graph_inputs=()):
    """Write a network of one input x and one output y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [
        w if isinstance(w, TensorProto) else numpy_helper.from_array(w, name)
        for name, w in weights.items()
    ]
    graph = helper.make_graph(nodes, "net", [x, *graph_inputs], [y], tensors)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def quantised(path):
    weights = {
        "w_quantized": RNG.integers(-128, 128, (4, 6), np.int8),
        "w_scales": RNG.random((4, 2), np.float32),
        "w_zero_point": RNG.integers(-128, 128, (4, 2), np.int8),
        "w_shape": np.array([4, 0, -1]),
        "b": np.ones(3, np.float32),
        "b_shape": np.array([3]),
    }
    weights["w_shape"] = np.array([2, -1])
    names = ["w_quantized", "w_scales", "w_zero_point"]
    nodes = [
        helper.make_node(
            "DequantizeLinear", names, ["w_dequantized"], axis=1, block_size=3
        ),
        helper.make_node("Reshape", ["w_dequantized", "w_shape"], ["w_reshaped"]),
        helper.make_node("MatMul", ["x", "w_reshaped"], ["h"]),
        helper.make_node("Constant", [], ["ratio"], value_float=0.4),
        helper.make_node("Dropout", ["h", "ratio"], ["d"]),
        helper.make_node("Add", ["d", "b"], ["y"]),
    ]
    return write(path, nodes, weights), weights


def test_a_quantised_file_gives_the_names_of_the_original(path):
    _, weights = quantised(path)
    tensors, ignored, _ = onnx_file.read(path)
    assert list(tensors) == ["w", "b"]
    w = [weights[f"w_{part}"] for part in ("quantized", "zero_point", "scales")]
    zero, scale = (np.repeat(part, 3, 1) for part in w[1:])
    want = (w[0].astype(np.float32) - zero) * scale
    np.testing.assert_array_equal(tensors["w"], want.reshape(2, 12))
    assert ignored == {
        "b_shape": "no layer uses it",
        "ratio": "argument of Dropout, not a weight",
    }


@pytest.mark.weights
def test_sface_has_the_weights_that_onnxruntime_computes(shared):
    runtime = pytest.importorskip("onnxruntime")
    file = shared("weights/face_recognition_sface_2021dec_int8bq.onnx")
    tensors, ignored, _ = onnx_file.read(file)
    # 27 convolutions and 29 BatchNorms, 27 PReLUs, a dense layer, (x - 127.5) / 128.
    assert len(tensors) == 27 + 29 * 4 + 27 + 2 + 2
    assert all(array.dtype == np.float32 for array in tensors.values())
    assert tensors["pre_fc1_weight"].shape == (128, 50176)
    assert ignored["pre_fc1_bias_shape"] == "no layer uses it"
    assert "conv_1_conv2d_weight_scales" not in ignored

    model = onnx.load(file)
    graph = model.graph
    computed = {
        name: onnx_file.plain_name(name)
        for node in graph.node
        if node.op_type not in ("DequantizeLinear", "Reshape")
        for name in node.input
        if name.endswith(("_reshaped", "_dequantized"))
    }
    assert len(computed) == 29
    # The quantiser left the float32 weights as inputs that nothing gives or takes.
    del graph.input[1:]
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in computed
    )
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    image = np.zeros((1, 3, 112, 112), np.float32)
    outputs = session.run(list(computed), {session.get_inputs()[0].name: image})
    for name, want in zip(computed.values(), outputs, strict=True):
        np.testing.assert_array_equal(tensors[name], want, strict=True)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize("zero", [True, False])
def test_dequantisation_agrees_with_onnxruntime(path, dtype, zero):
    runtime = pytest.importorskip("onnxruntime")
    info = np.iinfo(dtype)
    x = RNG.integers(info.min, info.max, (4, 6, 5), dtype, endpoint=True)
    shapes = {(): [0, 1]} | {(size,): [axis] for axis, size in enumerate(x.shape)}
    cases = [(shape, axis, 0) for shape, axes in shapes.items() for axis in axes]
    cases += [((4, 2, 5), 1, 3), ((4, 6, 3), 2, 2), ((1, 6, 5), -3, 4)]
    for shape, axis, block in cases:
        weights = {"q": x, "s": np.asarray(RNG.random(shape, np.float32))}
        if zero:
            points = RNG.integers(info.min, info.max, shape, dtype, endpoint=True)
            weights["z"] = np.asarray(points)
        node = helper.make_node(
            "DequantizeLinear", list(weights), ["w"], axis=axis, block_size=block
        )
        write(path, [node, helper.make_node("Add", ["x", "w"], ["y"])], weights)
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (want,) = session.run(None, {"x": np.zeros(x.shape, np.float32)})
        tensors, *_ = onnx_file.read(path)
        np.testing.assert_array_equal(tensors["w"], want, strict=True)


def test_what_is_computed_from_constants_alone_is_folded(path):
    w = RNG.normal(size=(2, 3, 1)).astype(np.float64)
    nodes = [
        helper.make_node("Cast", ["w"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["c"], ["t"], perm=[2, 1, 0]),
        helper.make_node("Constant", [], ["axes"], value_ints=[0]),
        helper.make_node("Squeeze", ["t", "axes"], ["q"]),
        helper.make_node("Unsqueeze", ["q", "axes"], ["u"]),
        helper.make_node("Identity", ["u"], ["i"]),
        helper.make_node("Constant", [], ["shape"], value_ints=[0, 2, -1]),
        helper.make_node("Reshape", ["i", "shape"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    tensors, ignored, _ = onnx_file.read(write(path, nodes, {"w": w}))
    want = w.astype(np.float32).T.reshape(1, 2, 3)
    np.testing.assert_array_equal(tensors["r"], want, strict=True)
    assert ignored == {}


def test_other_operators_are_not_folded(path):
    weights = {"shape": np.array([10**6, 10**6]), "w": np.ones(1, np.float32)}
    nodes = [
        helper.make_node("Expand", ["w", "shape"], ["e"]),
        helper.make_node("Add", ["x", "e"], ["y"]),
    ]
    tensors, ignored, _ = onnx_file.read(write(path, nodes, weights))
    assert tensors.keys() == {"w"}
    assert ignored == {"shape": "argument of Expand, not a weight"}


def test_a_file_cannot_unpack_to_far_more_than_its_size(path):
    count = 400
    nodes = [
        helper.make_node("Cast", ["w"], [f"c{i}"], to=TensorProto.DOUBLE)
        for i in range(count)
    ]
    nodes.append(helper.make_node("Sum", [f"c{i}" for i in range(count)], ["y"]))
    write(path, nodes, {"w": np.zeros(10**5, np.int8)})
    with pytest.raises(InputError, match="far more than its size"):
        onnx_file.read(path)


def write_scaled(path, scale, zero=None, **attributes):
    """Write a network whose weight is (2, 3) ones with scales of a shape."""
    weights = {"q": np.ones((2, 3), np.int8), "s": np.ones(scale, np.float32)}
    if zero is not None:
        weights["z"] = np.ones(zero, np.int8)
    node = helper.make_node("DequantizeLinear", list(weights), ["w"], **attributes)
    return write(path, [node, ADD], weights)


def test_a_block_longer_than_the_axis_allocates_nothing(path):
    write_scaled(path, (2, 1), axis=1, block_size=2**40)
    tensors, *_ = onnx_file.read(path)
    np.testing.assert_array_equal(tensors["w"], np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("scale", "zero", "axis", "block"),
    [
        ((3,), None, 0, 0),
        ((2, 2), None, 1, 1),
        ((2, 3), None, 5, 1),
        ((2, 3), None, 1, -1),
        ((1, 2), None, 1, 2),
        ((3,), (2,), 1, 0),
    ],
)
def test_scales_that_do_not_fit_are_refused(path, scale, zero, axis, block):
    write_scaled(path, scale, zero, axis=axis, block_size=block)
    with pytest.raises(InputError, match=r"net\.onnx: DequantizeLinear w .*do not fit"):
        onnx_file.read(path)


def test_half_precision_and_bfloat16_come_as_float32(path):
    values = RNG.normal(size=5).astype(np.float32)
    weights = {
        "half": values.astype(np.float16),
        "brain": helper.make_tensor("brain", TensorProto.BFLOAT16, [5], values),
    }
    adds = [
        helper.make_node("Add", ["x", "half"], ["h"]),
        helper.make_node("Add", ["h", "brain"], ["y"]),
    ]
    tensors, *_ = onnx_file.read(write(path, adds, weights))
    assert tensors["half"].dtype == tensors["brain"].dtype == np.float32
    np.testing.assert_array_equal(tensors["half"], values.astype(np.float16))
    np.testing.assert_allclose(tensors["brain"], values, rtol=2**-8)


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
def test_four_bits_are_dequantised(path, kind):
    low = -8 if kind == TensorProto.INT4 else 0
    values = np.arange(low, low + 16)
    weights = {
        "q": helper.make_tensor("q", kind, [16], values),
        "s": np.asarray(np.float32(0.5)),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w_dequantized"]),
        helper.make_node("Add", ["x", "w_dequantized"], ["y"]),
    ]
    tensors, *_ = onnx_file.read(write(path, nodes, weights))
    np.testing.assert_array_equal(tensors["w"], values * np.float32(0.5))


def test_float8_is_refused_by_name(path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT8E4M3FN, [2], [1.0, 2.0])
    with pytest.raises(InputError, match="w has the type FLOAT8E4M3FN"):
        onnx_file.read(write(path, [ADD], {"w": tensor}))


def test_weights_in_another_file_are_named(path, tmp_path):
    write(path, [ADD], {"w": np.ones(5000, np.float32)})
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin")
    for present in (True, False):
        if not present:
            (tmp_path / "w.bin").unlink()
        with pytest.raises(InputError, match=r"net\.onnx: .*another file \(w\.bin\)"):
            onnx_file.read(path)


def test_graphs_whose_weights_cannot_be_told_are_refused(path):
    inner = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["o"])],
        "inner",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    branch = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    write(path, [branch], {"w": np.ones(1, np.float32)})
    with pytest.raises(InputError, match="control flow"):
        onnx_file.read(path)


def test_two_weights_of_one_name_are_refused(path):
    nodes = [
        helper.make_node("Identity", ["q"], ["w_dequantized"]),
        helper.make_node("Sum", ["x", "w", "w_dequantized"], ["y"]),
    ]
    weights = {"w": np.ones(1, np.float32), "q": np.ones(1, np.float32)}
    with pytest.raises(InputError, match="two weights of the name w"):
        onnx_file.read(write(path, nodes, weights))
    model = onnx.load(path)
    model.graph.initializer[1].name = "w"
    onnx.save(model, path)
    with pytest.raises(InputError, match="initialisers of the same name"):
        onnx_file.read(path)


def test_shapes_that_lie_are_refused(path):
    for dims in ([10**9, 10**9], [-1], [3]):
        tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
        tensor.dims[:] = dims
        write(path, [ADD], {"w": tensor})
        with pytest.raises(InputError, match=r"net\.onnx: ") as caught:
            onnx_file.read(path)
        assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_clear_line(path):
    quantised(path)
    data = path.read_bytes()
    for length in itertools.chain(range(1, 40), range(len(data) // 2, len(data) - 40)):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"net\.onnx: (damaged|holds no network)"):
            onnx_file.read(path)


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1)])
def test_slopes_are_one_value_per_channel(path, shape):
    slope = RNG.random(shape).astype(np.float32)
    write(path, [helper.make_node("PRelu", ["x", "w"], ["y"])], {"w": slope})
    tensors, *_ = onnx_file.read(path)
    np.testing.assert_array_equal(tensors["w"], slope.reshape(3), strict=True)
