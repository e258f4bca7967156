"""What is read from a graph: names and forms of weights, and what is refused."""

import jax
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from prefiqs_jax.backbones.onnx_graph import read_network
from prefiqs_jax.errors import InputError
from prefiqs_jax.trees import is_prunable

RNG = np.random.default_rng(2)
CONV = ("Conv", "x conv.weight", "h")


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def images(count, rows=9, columns=8):
    return RNG.normal(0, 1, (count, rows, columns, 3)).astype(np.float32)


def test_leaves_have_names_and_forms_that_masks_know(path, write):
    weights = {
        "stem/conv1.weight": floats(4, 3, 3, 3),
        "stem/conv1.bias": floats(4),
        **{f"bn.{n}": floats(4) for n in ("weight", "bias")},
        **{f"bn.running_{n}": np.abs(floats(4)) for n in ("mean", "var")},
        "17": floats(4, 1, 1),
        "gate": floats(1, 4, 1, 1),
        "position": floats(1, 4, 7, 6),
        "fc.weight": floats(5, 168),
        "fc.bias": floats(5),
        "scale": np.float32(3),
    }
    nodes = [
        ("Conv", "x stem/conv1.weight stem/conv1.bias", "a"),
        (
            "BatchNormalization",
            "a bn.weight bn.bias bn.running_mean bn.running_var",
            "b",
        ),
        ("PRelu", "b 17", "c", {"name": "PRelu_3"}),
        ("Mul", "c gate", "d"),
        ("Add", "d position", "e"),
        ("Mul", "e scale", "f"),
        ("Flatten", "f", "g"),
        ("Gemm", "g fc.weight fc.bias", "y", {"transB": 1}),
    ]
    network = read_network(write(path, nodes, weights))
    shapes = {name: array.shape for name, array in network.tensors.items()}
    assert shapes == {
        "params/stem.conv1/kernel": (3, 3, 3, 4),
        "params/stem.conv1/bias": (4,),
        "params/bn/scale": (4,),
        "params/bn/bias": (4,),
        "statistics/bn/mean": (4,),
        "statistics/bn/var": (4,),
        "params/PRelu_3/slope": (4,),
        "params/gate/scale": (4,),
        "params/position/table": (1, 4, 7, 6),
        "params/fc/kernel": (168, 5),
        "params/fc/bias": (5,),
    }
    prunable = {n for n, a in network.tensors.items() if is_prunable(n, a)}
    assert prunable == {"params/stem.conv1/kernel", "params/fc/kernel"}
    assert (network.folded, network.scales_pixels) == (False, False)
    kernel = weights["stem/conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(network.tensors["params/stem.conv1/kernel"], kernel)


def test_a_tied_weight_is_one_leaf(path, write, ours, session):
    weights = {"w": floats(24, 24), "b": floats(24), "shape": np.array([0, 9, 24])}
    nodes = [
        ("Reshape", "x shape", "r"),
        ("MatMul", "r w", "p"),
        ("Transpose", "w", "turned", {"perm": [1, 0]}),
        ("MatMul", "p turned", "q"),
        ("Add", "q b", "s"),
        ("Add", "s b", "y"),
    ]
    network = ours(write(path, nodes, weights))
    shapes = {name: array.shape for name, array in network.network.tensors.items()}
    assert shapes == {"params/w/kernel": (24, 24), "params/b/bias": (24,)}
    batch = images(2)
    expected = session(path, batch.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(network(batch), expected, atol=1e-5)


def test_equal_values_of_a_statistic_and_a_parameter_stay_apart(path, write, ours):
    # Exporters merge a bias of zeros with a running mean of zeros.
    weights = {"one": np.ones(3, np.float32), "zero": np.zeros(3, np.float32)}
    nodes = [("BatchNormalization", "x one zero zero one", "y")]
    network = ours(write(path, nodes, weights)).network
    assert {*network.tensors} == {
        "params/one/scale",
        "params/zero/bias",
        "statistics/zero/mean",
        "statistics/one/var",
    }


def test_weights_quantised_for_each_use_are_one_leaf(path, write, ours, session):
    weights = {
        "w_quantized": RNG.integers(-9, 9, (3, 3, 1, 1), np.int8),
        "w_scale": np.float32(0.1),
        "w_zero_point": np.int8(2),
    }
    names = " ".join(weights)
    nodes = [
        ("DequantizeLinear", names, "w_dequantized"),
        ("Conv", "x w_dequantized", "a"),
        ("DequantizeLinear", names, "w_again"),
        ("Conv", "a w_again", "y"),
    ]
    network = ours(write(path, nodes, weights))
    assert {*network.network.tensors} == {"params/w/kernel"}
    batch = images(2)
    expected = session(path, batch.transpose(0, 3, 1, 2)).reshape(2, -1)
    np.testing.assert_allclose(network(batch), expected, atol=1e-5)


def test_scopes_are_unique_and_never_numbers(path, write):
    weights = {f"{i}": floats(3, 3, 1, 1) for i in (685, 686)}
    weights |= {"a/b.weight": floats(3, 3, 1, 1), "a.b.weight": floats(3, 3, 1, 1)}
    nodes = [
        ("Conv", "x 685", "p", {"name": "Conv_0"}),
        ("Conv", "p 686", "7"),
        ("Conv", "7 a/b.weight", "q"),
        ("Conv", "q a.b.weight", "y"),
    ]
    assert list(read_network(write(path, nodes, weights)).tensors) == [
        f"params/{scope}/kernel" for scope in ("Conv_0", "Conv_7", "a.b", "a.b_2")
    ]


def test_pixels_that_the_graph_scales(path, write):
    weights = {
        "mean": np.float32(127.5),
        "std": np.float32(0.0078125),
        "conv.weight": floats(4, 3, 3, 3),
    }
    nodes = [
        ("Sub", "x mean", "s"),
        ("Mul", "s std", "m"),
        ("Conv", "m conv.weight", "y"),
    ]
    assert read_network(write(path, nodes, weights)).scales_pixels
    nodes = [("Mul", "x std", "m"), ("Conv", "m conv.weight", "y")]
    assert not read_network(write(path, nodes, weights)).scales_pixels


def test_a_fixed_batch_of_one_takes_any_batch(path, write, ours, session):
    # Sums of 216 terms that come to one or so: 1e-6 is above their rounding.
    matrix = floats(216, 5) / np.float32(np.sqrt(216))
    weights = {"shape": np.array([1, 216]), "w": matrix}
    nodes = [("Reshape", "x shape", "f"), ("MatMul", "f w", "y")]
    network = ours(write(path, nodes, weights, shape=(1, 3, 9, 8)))
    batch = images(5)
    found = network(batch)
    expected = session(path, batch.transpose(0, 3, 1, 2), one_by_one=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for i in range(5):
        np.testing.assert_allclose(network(batch[i : i + 1])[0], found[i], atol=1e-6)


def test_channels_last_input_of_tensorflow(path, write, ours, session):
    weights = {"w": floats(4, 3, 3, 3)}
    nodes = [
        ("Transpose", "x", "t", {"perm": [0, 3, 1, 2]}),
        ("Conv", "t w", "c"),
        ("Transpose", "c", "y", {"perm": [0, 2, 3, 1]}),
    ]
    network = ours(write(path, nodes, weights, shape=("N", 9, 8, 3)))
    batch = images(2)
    assert network.network.input_size == (9, 8)
    expected = session(path, batch).reshape(2, -1)
    np.testing.assert_allclose(network(batch), expected, atol=1e-5)


def test_slopes_of_channels_as_mxnet_exported_them(path, write, ours):
    slopes = floats(3)
    batch = images(2)
    nodes = [("PRelu", "x a", "y")]
    found = ours(write(path, nodes, {"a": slopes}))(batch)
    expected = np.where(batch > 0, batch, slopes * batch).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, expected.reshape(2, -1), rtol=1e-6)


def test_half_precision_computes_in_the_type_that_it_is_given(path, write, ours):
    weights = {"w": floats(4, 3, 3, 3).astype(np.float16), "c": np.float16(0.5)}
    nodes = [
        ("Cast", "x", "half", {"to": TensorProto.FLOAT16}),
        ("Conv", "half w", "h"),
        ("Mul", "h c", "m"),
        ("Cast", "m", "y", {"to": TensorProto.FLOAT}),
    ]
    network = ours(write(path, nodes, weights), np.float64)
    assert network.network.tensors["params/w/kernel"].dtype == np.float32
    assert network(images(1).astype(np.float64)).dtype == np.float64


def test_the_output_that_is_an_embedding_is_taken(path, write, ours):
    nodes = [CONV, ("Flatten", "h", "flat"), ("Softmax", "flat", "unused")]
    weights = {"conv.weight": floats(4, 3, 3, 3)}
    nodes.append(("ReduceL2", "flat", "norm", {"axes": [1]}))
    outputs = [value("h", ("N", 4, 7, 6)), value("flat", ("N", 168))]
    outputs.append(value("norm", ("N", 1)))
    network = ours(write(path, nodes, weights, out=outputs))
    assert network.network.embedding_dim == 168
    (program,) = network.network.apply.args
    assert "Softmax" not in {node.operator for node in program.nodes}
    outputs.append(value("unused", ("N", 168)))
    write(path, nodes, weights, out=outputs)
    with pytest.raises(InputError, match=r"h \(\?, 4, 7, 6\), flat.*norm.*unused"):
        read_network(path)


def test_all_that_is_not_read_is_said_at_once(path, write, make_node):
    weights = {n: np.abs(floats(3)) for n in "somv"}
    nodes = [
        make_node("Resize", "x", "a"),
        make_node("FusedConv", "a", "b", domain="com.microsoft"),
        make_node("NonMaxSuppression", "b", "c"),
        make_node("Resize", "c", "d"),
        make_node("BatchNormalization", "d s o m v", "e", training_mode=1),
        make_node("MaxPool", "e", "f g", kernel_shape=[2, 2]),
        make_node("Cast", "g", "gf", to=1),
        make_node("Add", "f gf", "i"),
        make_node("Unheard", "i", "y"),
        make_node("AlsoUnheard", "y", "unused"),
    ]
    write(path, nodes, weights)
    with pytest.raises(InputError) as caught:
        read_network(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    for kind in (
        "Resize (2)",
        "com.microsoft.FusedConv (1)",
        "NonMaxSuppression (1)",
        "BatchNormalization in training mode (1)",
        "MaxPool with a second output (1)",
        "Unheard (1)",
    ):
        assert kind in message
    assert "AlsoUnheard" not in message


ENORMOUS = np.array([1, 2**20, 2**20])
REFUSED = {
    "old opset": (dict(opset=6), [("Relu", "x", "y")], {}, "oldest"),
    "no image": (dict(shape=("N", 4, 9, 8)), [("Relu", "x", "y")], {}, "images"),
    "no shape": (dict(shape=None), [("Relu", "x", "y")], {}, "images"),
    "shape from the image": (
        {},
        [("Cast", "x", "s", {"to": 7}), ("Reshape", "x s", "y")],
        {},
        "depends on the image",
    ),
    "order": ({}, [("Add", "x h", "y"), ("Relu", "x", "h")], {}, "before"),
    "twice": ({}, [("Relu", "x", "y"), ("Relu", "x", "y")], {}, "twice"),
    "output": (dict(out=[value("z", None)]), [("Relu", "x", "y")], {}, "no z"),
    "misfit": ({}, [CONV, ("Add", "h c", "y")], {"c": floats(5)}, "does not fit"),
    "channels": (
        {},
        [("Conv", "x w", "y")],
        {"w": floats(4, 2, 3, 3)},
        "other channels",
    ),
    "expand": ({}, [("Expand", "x s", "y")], {"s": ENORMOUS[[1, 0, 0, 0]]}, "dim"),
    "expand far": (
        {},
        [("Unsqueeze", "x a", "u"), ("Expand", "u s", "y")],
        {"a": np.array([1]), "s": np.array([1, 2**40, 3, 9, 8])},
        "numbers",
    ),
    "fill": (
        {},
        [("ConstantOfShape", "s", "c"), ("Add", "x c", "y")],
        {"s": ENORMOUS},
        "numbers",
    ),
    "range": (
        {},
        [("Range", "a b c", "r"), ("Reshape", "x r", "y")],
        {"a": np.array(0), "b": np.array(2**40), "c": np.array(1)},
        "numbers",
    ),
    "tile": ({}, [("Tile", "x n", "y")], {"n": np.array([1, 1, 2**30, 9])}, "numbers"),
    "pad": (
        {},
        [("Pad", "x p", "y")],
        {"p": np.array([0, 0, 2**40, 0, 0, 0, 0, 0])},
        "numbers",
    ),
    "conv pads": (
        {},
        [("Conv", "x w", "y", {"pads": [2**40, 0, 0, 0]})],
        {"w": floats(4, 3, 3, 3)},
        "pads more",
    ),
    "doubling": (
        {},
        [
            ("Concat", f"{'x' if not i else f'a{i}'} " * 2, f"a{i + 1}", {"axis": 1})
            for i in range(40)
        ]
        + [("Identity", "a40", "y")],
        {},
        "numbers",
    ),
    "outer": (
        {},
        [("Equal", "a b", "e"), ("Where", "e x x", "y")],
        {"a": np.zeros((2**12, 1)), "b": np.zeros((1, 2**12))},
        "numbers",
    ),
    "rank": (
        dict(out=[value("y", None)]),
        [("Relu", "x", "y")],
        {},
        "embeddings",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_one_line(name, path, write):
    options, nodes, weights, words = REFUSED[name]
    weights = {"conv.weight": floats(4, 3, 3, 3), **weights}
    write(path, nodes, weights, **options)
    with pytest.raises(InputError, match=words) as caught:
        read_network(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 600


def test_a_second_input_is_refused(path, write):
    write(path, [("Relu", "x", "y")], {})
    model = onnx.load(path)
    model.graph.input.append(value("z", (1, 3, 9, 8)))
    onnx.save(model, path)
    assert read_network(path).embedding_dim == 216  # nothing uses it
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("z")
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"has 2 inputs \(x .*, z .*\)"):
        read_network(path)


def test_images_of_another_shape_are_refused(path, write, ours):
    network = ours(
        write(path, [CONV, ("Relu", "h", "y")], {"conv.weight": floats(4, 3, 3, 3)})
    )
    with pytest.raises(InputError, match="must be floats"):
        network(images(2, rows=10))
    with pytest.raises(InputError, match="must be floats"):
        network(np.zeros((1, 9, 8, 3), np.uint8))


def test_weights_are_arguments(path, write, ours):
    weights = {"conv.weight": floats(4, 3, 3, 3), "b": floats(4)}
    weights |= {n: np.abs(floats(4)) for n in "somv"}
    nodes = [
        ("Conv", "x conv.weight b", "h"),
        ("BatchNormalization", "h s o m v", "y"),
    ]
    network = ours(write(path, nodes, weights))
    closed = jax.make_jaxpr(network.network.apply)(
        network.params, network.statistics, images(2)
    )
    assert closed.consts == []
