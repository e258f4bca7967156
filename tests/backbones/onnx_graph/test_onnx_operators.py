"""Every operator that calculates, in every form, against ONNX Runtime."""

import numpy as np
import pytest

from prefiqs_jax.backbones.onnx_graph.operators import shaping
from prefiqs_jax.backbones.onnx_graph.operators.table import OPERATORS

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


def conv(kernel=(4, 3, 3, 3), bias=True, **attributes):
    weights = {"w": floats(*kernel)} | ({"b": floats(kernel[0])} if bias else {})
    return [("Conv", "x w b" if bias else "x w", "y", attributes)], weights


def one(operator, inputs="x", weights=None, **attributes):
    return [(operator, inputs, "y", attributes)], weights or {}


def positive_input(operator, inputs="p", weights=None, **attributes):
    first = ("Exp", "x", "p")
    return [first, (operator, inputs, "y", attributes)], weights or {}


def rows(operator, inputs="r", weights=None, **attributes):
    """Apply an operator to tokens (batch, 9, 24)."""
    turn = ("Transpose", "x", "t", {"perm": [0, 2, 3, 1]})
    nodes = [turn, ("Reshape", "t shape", "r"), (operator, inputs, "y", attributes)]
    return nodes, {"shape": ints(0, 9, 24), **(weights or {})}


def flat(operator, inputs, weights, **attributes):
    """Apply an operator to one row of 216 numbers per image."""
    nodes = [("Flatten", "x", "f"), (operator, inputs, "y", attributes)]
    return nodes, weights


NORM = {"s": positive(3), "o": floats(3), "m": floats(3), "v": positive(3)}
HALF = np.float32(0.5)
CASES = {
    "conv": (17, *conv()),
    "conv-7": (7, *conv()),
    "conv-no-bias": (17, *conv(bias=False)),
    "conv-strides-pads": (17, *conv(strides=[2, 1], pads=[1, 0, 2, 1])),
    "conv-dilations": (17, *conv(dilations=[2, 3], pads=[1, 1, 1, 1])),
    "conv-same-upper": (17, *conv((4, 3, 4, 2), auto_pad="SAME_UPPER", strides=[2, 3])),
    "conv-same-lower": (17, *conv((4, 3, 4, 2), auto_pad="SAME_LOWER", strides=[2, 3])),
    "conv-valid": (17, *conv(auto_pad="VALID", kernel_shape=[3, 3])),
    "conv-depthwise": (17, *conv((3, 1, 3, 3), group=3, pads=[1, 1, 1, 1])),
    "conv-depthwise-stride": (
        17,
        *conv((3, 1, 5, 5), group=3, pads=[2, 2, 2, 2], strides=[2, 2]),
    ),
    "conv-depthwise-uneven": (
        17,
        *conv((3, 1, 3, 3), group=3, pads=[0, 0, 1, 1], strides=[2, 2]),
    ),
    "conv-depthwise-whole": (17, *conv((3, 1, 9, 8), group=3)),
    "conv-depthwise-double": (17, *conv((6, 1, 3, 3), group=3, pads=[1, 1, 1, 1])),
    "conv-grouped": (
        17,
        [("Conv", "x v", "h"), ("Conv", "h w b", "y", {"group": 2})],
        {"v": floats(4, 3, 1, 1), "w": floats(6, 2, 3, 3), "b": floats(6)},
    ),
    "conv-1d": (
        17,
        [("Reshape", "x shape", "r"), ("Conv", "r w", "y", {"pads": [1, 0]})],
        {"shape": ints(0, 3, 72), "w": floats(4, 3, 3)},
    ),
    "gemm": (17, *flat("Gemm", "f w", {"w": floats(216, 5)})),
    "gemm-7": (7, *flat("Gemm", "f w c", {"w": floats(216, 5), "c": floats(5)})),
    "gemm-trans-b": (
        17,
        *flat(
            "Gemm",
            "f w c",
            {"w": floats(5, 216), "c": floats(1, 5)},
            transB=1,
            alpha=0.3,
            beta=2.0,
        ),
    ),
    "gemm-trans-a": (
        17,
        [
            ("Flatten", "x", "f"),
            ("Transpose", "f", "t", {"perm": [1, 0]}),
            ("Gemm", "t w c", "y", {"transA": 1}),
        ],
        {"w": floats(216, 5), "c": HALF},
    ),
    "matmul": (17, *flat("MatMul", "f w", {"w": floats(216, 5)})),
    "matmul-tokens": (17, *rows("MatMul", "r w", {"w": floats(24, 5)})),
    "matmul-left": (17, *rows("MatMul", "w r", {"w": floats(5, 9)})),
    "matmul-batched": (17, *rows("MatMul", "r w", {"w": floats(1, 24, 5)})),
    "matmul-activations": (
        17,
        [
            *rows("Identity")[0][:-1],
            ("Transpose", "r", "u", {"perm": [0, 2, 1]}),
            ("MatMul", "r u", "y"),
        ],
        {"shape": ints(0, 9, 24)},
    ),
    "batchnorm": (17, *one("BatchNormalization", "x s o m v", NORM, epsilon=1e-3)),
    "batchnorm-7": (7, *one("BatchNormalization", "x s o m v", NORM)),
    "batchnorm-row": (
        17,
        *flat(
            "BatchNormalization",
            "f s o m v",
            {
                "s": positive(216),
                "o": floats(216),
                "m": floats(216),
                "v": positive(216),
            },
        ),
    ),
    "prelu": (17, *one("PRelu", "x a", {"a": floats(3, 1, 1)})),
    "prelu-7": (7, *one("PRelu", "x a", {"a": floats(3, 1, 1)})),
    "prelu-4d": (17, *one("PRelu", "x a", {"a": floats(1, 3, 1, 1)})),
    "prelu-single": (17, *one("PRelu", "x a", {"a": floats(1)})),
    "prelu-row": (17, *flat("PRelu", "f a", {"a": floats(216)})),
    "prelu-full": (17, *one("PRelu", "x a", {"a": floats(3, 9, 8)})),
    "relu": (17, *one("Relu")),
    "leaky-relu": (17, *one("LeakyRelu", alpha=0.2)),
    "elu": (17, *one("Elu", alpha=0.7)),
    "celu": (17, *one("Celu", alpha=0.7)),
    "selu": (17, *one("Selu")),
    "softsign": (17, *one("Softsign")),
    "sin": (17, *one("Sin")),
    "cos": (17, *one("Cos")),
    "clip-6": (10, *one("Clip", min=-0.5, max=0.6)),
    "clip-6-open": (10, *one("Clip", max=0.6)),
    "clip": (17, *one("Clip", "x l h", {"l": np.float32(-0.5), "h": HALF})),
    "clip-upper": (17, *one("Clip", "x _ h", {"h": HALF})),
    "sigmoid": (17, *one("Sigmoid")),
    "hard-sigmoid": (17, *one("HardSigmoid", alpha=0.5, beta=0.4)),
    "hard-swish": (17, *one("HardSwish")),
    "tanh": (17, *one("Tanh")),
    "erf": (17, *one("Erf")),
    "gelu": (20, *one("Gelu")),
    "gelu-tanh": (20, *one("Gelu", approximate="tanh")),
    "softplus": (17, *one("Softplus")),
    "mish": (18, *one("Mish")),
    "softmax": (17, *one("Softmax")),
    "softmax-axis": (13, *one("Softmax", axis=1)),
    "softmax-flattening": (11, *one("Softmax", axis=2)),
    "softmax-flattening-default": (11, *one("Softmax")),
    "exp": (17, *one("Exp")),
    "log": (17, *positive_input("Log")),
    "sqrt": (17, *positive_input("Sqrt")),
    "pow": (17, *one("Pow", "x e", {"e": np.float32(3)})),
    "pow-integer": (17, *one("Pow", "x e", {"e": ints(2)})),
    "pow-root": (17, *positive_input("Pow", "p e", {"e": HALF})),
    "pow-fraction": (17, *positive_input("Pow", "p e", {"e": np.float32(-1.3)})),
    "reciprocal": (17, *positive_input("Reciprocal")),
    "abs": (17, *one("Abs")),
    "neg": (17, *one("Neg")),
    "floor": (17, *one("Floor")),
    "ceil": (17, *one("Ceil")),
    "add": (17, *one("Add", "x c", {"c": floats(3, 1, 1)})),
    "add-7": (7, *one("Add", "x c", {"c": floats(1, 3, 1, 1)})),
    "sub": (17, *one("Sub", "c x", {"c": floats(9, 1)})),
    "mul": (17, *one("Mul", "x c", {"c": HALF})),
    "div": (17, *one("Div", "x c", {"c": positive(3, 9, 8)})),
    "add-higher-rank": (
        17,
        [("Add", "x c", "z"), ("ReduceSum", "z axes", "y", {"keepdims": 0})],
        {"c": floats(2, 1, 3, 1, 1), "axes": ints(0)},
    ),
    "max": (17, *one("Max", "x c x", {"c": floats(3, 1, 1)})),
    "min": (17, *one("Min", "x c", {"c": floats(3, 1, 1)})),
    "min-one": (17, *one("Min")),
    "sum": (17, *one("Sum", "x x c", {"c": floats(1, 3, 1, 1)})),
    "mod": (17, *one("Mod", "x c", {"c": HALF}, fmod=1)),
    "where": (
        17,
        [("Greater", "x c", "g"), ("Where", "g x c", "y")],
        {"c": floats(3, 1, 1)},
    ),
    "comparisons": (
        17,
        [
            ("LessOrEqual", "x c", "a"),
            ("GreaterOrEqual", "x d", "b"),
            ("Less", "x d", "e"),
            ("Equal", "a b", "f"),
            ("And", "a b", "g"),
            ("Or", "g e", "h"),
            ("Not", "h", "i"),
            ("Or", "i f", "j"),
            ("Cast", "j", "y", {"to": 1}),
        ],
        {"c": HALF, "d": -HALF},
    ),
    "global-average-pool": (17, *one("GlobalAveragePool")),
    "global-max-pool": (17, *one("GlobalMaxPool")),
    "average-pool": (17, *one("AveragePool", kernel_shape=[3, 2], strides=[2, 2])),
    "average-pool-pads": (
        17,
        *one("AveragePool", kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 0, 1]),
    ),
    "average-pool-include": (
        17,
        *one(
            "AveragePool",
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            strides=[2, 2],
            count_include_pad=1,
        ),
    ),
    "average-pool-ceil": (
        19,
        *one("AveragePool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
    ),
    "average-pool-same": (
        17,
        *one("AveragePool", kernel_shape=[4, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    ),
    "average-pool-dilations": (
        19,
        *one("AveragePool", kernel_shape=[2, 3], dilations=[3, 2]),
    ),
    "max-pool": (17, *one("MaxPool", kernel_shape=[3, 2], strides=[2, 2])),
    "max-pool-8": (8, *one("MaxPool", kernel_shape=[2, 2])),
    "max-pool-pads": (
        17,
        *one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    ),
    "max-pool-ceil": (
        17,
        *one("MaxPool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
    ),
    "max-pool-dilations": (17, *one("MaxPool", kernel_shape=[3, 2], dilations=[2, 3])),
    "max-pool-same": (
        17,
        *one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
    ),
    "reduce-mean": (17, *one("ReduceMean", axes=[2, 3])),
    "reduce-mean-drop": (17, *one("ReduceMean", axes=[-1, -2], keepdims=0)),
    "reduce-mean-input": (18, *one("ReduceMean", "x a", {"a": ints(2, -1)})),
    "reduce-sum": (17, *one("ReduceSum", "x a", {"a": ints(1)})),
    "reduce-sum-11": (11, *one("ReduceSum", axes=[1], keepdims=0)),
    "reduce-noop": (17, *one("ReduceSum", noop_with_empty_axes=1)),
    "reduce-max": (17, *one("ReduceMax", axes=[1])),
    "reduce-min": (17, *one("ReduceMin", axes=[3])),
    "reduce-prod": (17, *one("ReduceProd", axes=[1])),
    "reduce-l1": (17, *one("ReduceL1", axes=[2])),
    "reduce-l2": (17, *one("ReduceL2", axes=[1])),
    "reduce-l2-input": (18, *one("ReduceL2", "x a", {"a": ints(1)}, keepdims=0)),
    "reduce-sum-square": (17, *one("ReduceSumSquare", axes=[1, 2])),
    "lp-normalization": (17, *flat("LpNormalization", "f", {})),
    "lp-normalization-1": (17, *one("LpNormalization", axis=1, p=1)),
    "layer-normalization": (
        17,
        *rows("LayerNormalization", "r s o", {"s": positive(24), "o": floats(24)}),
    ),
    "layer-normalization-axis": (
        17,
        *rows("LayerNormalization", "r s", {"s": positive(9, 24)}, axis=1, epsilon=0.1),
    ),
    "instance-normalization": (
        17,
        *one("InstanceNormalization", "x s o", {"s": positive(3), "o": floats(3)}),
    ),
    "group-normalization": (
        21,
        [
            ("Conv", "x w", "h"),
            ("GroupNormalization", "h s o", "y", {"num_groups": 2, "epsilon": 0.01}),
        ],
        {"w": floats(4, 3, 1, 1), "s": positive(4), "o": floats(4)},
    ),
    "einsum": (
        17,
        *rows("Einsum", "r w", {"w": floats(24, 5)}, equation="bnd,de->ben"),
    ),
    "depth-to-space": (
        17,
        [("Conv", "x w", "h"), ("DepthToSpace", "h", "y", {"blocksize": 2})],
        {"w": floats(8, 3, 1, 1)},
    ),
    "depth-to-space-crd": (
        17,
        [
            ("Conv", "x w", "h"),
            ("DepthToSpace", "h", "y", {"blocksize": 2, "mode": "CRD"}),
        ],
        {"w": floats(8, 3, 1, 1)},
    ),
    "space-to-depth": (
        17,
        [("Conv", "x w", "h"), ("SpaceToDepth", "h", "y", {"blocksize": 2})],
        {"w": floats(4, 3, 2, 1)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name, tmp_path, check):
    check(CASES[name], tmp_path / "net.onnx")


@pytest.mark.parametrize("name", [name for name in CASES if "depthwise" in name])
def test_depthwise_elsewhere_than_on_a_cpu(name, tmp_path, write, ours, monkeypatch):
    opset, nodes, weights = CASES[name]
    path = write(tmp_path / "net.onnx", nodes, weights, opset=opset)
    images = RNG.normal(0, 1, (2, 9, 8, 3)).astype(np.float32)
    expected = ours(path)(images)
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    np.testing.assert_allclose(ours(path)(images), expected, rtol=1e-5, atol=1e-5)


def test_every_operator_has_a_case():
    # What only moves numbers is in test_onnx_shaping.py.
    used = {node[0] for _, nodes, _ in CASES.values() for node in nodes}
    calculating = {k for k, f in OPERATORS.items() if f.__module__ != shaping.__name__}
    assert calculating <= used
