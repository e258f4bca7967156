"""Operators that move numbers, the arithmetic of shapes and of weights alone."""

import numpy as np
import pytest
from onnx import numpy_helper

from prefiqs_jax.backbones.onnx_graph.operators import shaping
from prefiqs_jax.backbones.onnx_graph.operators.table import OPERATORS

RNG = np.random.default_rng(0)
FAR = 2**63 - 1
HALF = np.float32(0.5)


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


def one(operator, inputs="x", weights=None, **attributes):
    return [(operator, inputs, "y", attributes)], weights or {}


def rows(operator, inputs="r", weights=None, **attributes):
    """Apply an operator to tokens (batch, 9, 24)."""
    turn = ("Transpose", "x", "t", {"perm": [0, 2, 3, 1]})
    nodes = [turn, ("Reshape", "t shape", "r"), (operator, inputs, "y", attributes)]
    return nodes, {"shape": ints(0, 9, 24), **(weights or {})}


CASES = {
    "mod-integers": (
        17,
        [("Mod", "n m", "i"), ("Gather", "x i", "y", {"axis": 1})],
        {"n": ints(-1, 7), "m": ints(3, 3)},
    ),
    "flatten-0": (
        17,
        [("Flatten", "x", "f", {"axis": -2}), ("Reshape", "f shape", "y")],
        {"shape": ints(-1, 216)},
    ),
    "reshape-zero": (17, *one("Reshape", "x shape", {"shape": ints(0, 0, -1)})),
    "transpose": (17, *one("Transpose", perm=[0, 3, 1, 2])),
    "transpose-last": (17, *one("Transpose", perm=[0, 2, 3, 1])),
    "squeeze-11": (
        11,
        [("GlobalAveragePool", "x", "g"), ("Squeeze", "g", "y", {"axes": [2, -1]})],
        {},
    ),
    "squeeze": (
        17,
        [("GlobalAveragePool", "x", "g"), ("Squeeze", "g a", "y")],
        {"a": ints(-1, 2)},
    ),
    "unsqueeze": (17, *one("Unsqueeze", "x a", {"a": ints(-1, 1)})),
    "unsqueeze-11": (11, *one("Unsqueeze", axes=[1, 5])),
    "concat": (17, *one("Concat", "x x", axis=1)),
    "concat-maps": (
        17,
        [
            ("Conv", "x w", "h"),
            ("Relu", "h", "r"),
            ("Concat", "h r x", "y", {"axis": 1}),
        ],
        {"w": floats(4, 3, 1, 1)},
    ),
    "concat-rows": (17, *one("Concat", "x x", axis=-2)),
    "split": (
        17,
        [("Split", "x n", "a b", {"axis": 1}), ("Concat", "b a", "y", {"axis": 1})],
        {"n": ints(1, 2)},
    ),
    "split-11": (
        11,
        [
            ("Split", "x", "a b", {"axis": 2, "split": [4, 5]}),
            ("Concat", "b a", "y", {"axis": 2}),
        ],
        {},
    ),
    "split-18": (
        18,
        [
            ("Split", "x", "a b", {"axis": 2, "num_outputs": 2}),
            ("Concat", "b a", "y", {"axis": 2}),
        ],
        {},
    ),
    "split-equal": (
        13,
        [("Split", "x", "a b", {"axis": 3}), ("Sub", "a b", "y")],
        {},
    ),
    "slice-9": (9, *one("Slice", starts=[1, -3], ends=[FAR, -1], axes=[1, 3])),
    "slice": (
        17,
        *one(
            "Slice",
            "x s e a t",
            {"s": ints(-1, 1), "e": ints(-FAR, FAR), "a": ints(2, 3), "t": ints(-2, 3)},
        ),
    ),
    "slice-leading": (17, *one("Slice", "x s e", {"s": ints(0, 1), "e": ints(FAR, 3)})),
    "gather": (17, *one("Gather", "x i", {"i": ints(2, -3, 0)}, axis=1)),
    "gather-scalar": (17, *rows("Gather", "r i", {"i": np.array(0)}, axis=1)),
    "expand": (
        17,
        [("Expand", "x shape", "y")],
        {"shape": ints(1, 3, 9, 8)},
    ),
    "tile": (17, *one("Tile", "x n", {"n": ints(1, 2, 1, 3)})),
    "pad-2": (10, *one("Pad", pads=[0, 1, 2, 0, 0, 0, 1, 3], value=0.5)),
    "pad": (17, *one("Pad", "x p v", {"p": ints(0, 0, 1, 2, 0, 0, -2, 1), "v": HALF})),
    "pad-axes": (18, *one("Pad", "x p _ a", {"p": ints(1, 2), "a": ints(-1)})),
    "pad-reflect": (
        17,
        *one("Pad", "x p", {"p": ints(0, 0, 2, 1, 0, 0, 1, 2)}, mode="reflect"),
    ),
    "pad-edge": (
        17,
        *one("Pad", "x p", {"p": ints(0, 0, 2, 1, 0, 0, 1, 2)}, mode="edge"),
    ),
    "identity": (17, *one("Identity")),
    "dropout": (17, *one("Dropout", "x r", {"r": HALF})),
    "dropout-7": (7, *one("Dropout", ratio=0.3)),
    "cast": (17, [("Cast", "x", "z", {"to": 11}), ("Cast", "z", "y", {"to": 1})], {}),
    # What exporters write for x.view(x.size(0), -1).
    "shape-arithmetic": (
        13,
        [
            ("Shape", "x", "s"),
            ("Gather", "s zero", "n", {"axis": 0}),
            ("Unsqueeze", "n axes", "u"),
            ("Concat", "u rest", "shape", {"axis": 0}),
            ("Reshape", "x shape", "y"),
        ],
        {"zero": np.array(0), "axes": ints(0), "rest": ints(-1)},
    ),
    "shape-slice": (
        17,
        [
            ("Shape", "x", "all"),
            ("Shape", "x", "s", {"start": 0, "end": -2}),
            ("ReduceProd", "all", "n", {"keepdims": 0}),
            ("Size", "x", "m"),
            ("Div", "n m", "one"),
            ("Mul", "one minus", "rest"),
            ("Unsqueeze", "rest axes", "r"),
            ("Concat", "s r", "shape", {"axis": 0}),
            ("Reshape", "x shape", "y"),
        ],
        {"minus": np.array(-1), "axes": ints(0)},
    ),
    # What they write for cls_token.expand(n, -1, -1).
    "token": (
        17,
        [
            *rows("Identity")[0][:-1],
            ("Shape", "r", "s", {"end": 1}),
            ("Concat", "s minus", "three", {"axis": 0}),
            (
                "ConstantOfShape",
                "length",
                "ones",
                {"value": numpy_helper.from_array(ints(1))},
            ),
            ("Mul", "ones m", "mm"),
            ("Equal", "three mm", "same"),
            ("Where", "same ones three", "shape3"),
            ("Expand", "cls shape3", "tokens"),
            ("Concat", "tokens r", "joined", {"axis": 1}),
            ("Add", "joined pos", "y"),
        ],
        {
            "shape": ints(0, 9, 24),
            "minus": ints(-1, -1),
            "length": ints(3),
            "m": np.array(-1),
            "cls": floats(1, 1, 24),
            "pos": floats(1, 10, 24),
        },
    ),
    "range": (
        17,
        [
            ("Shape", "x", "s", {"start": 2, "end": 3}),
            ("Squeeze", "s", "n"),
            ("Range", "zero n one", "i"),
            ("Cast", "i", "f", {"to": 1}),
            ("Unsqueeze", "f axis", "c"),
            ("Mul", "x c", "y"),
        ],
        {"zero": np.array(0), "one": np.array(1), "axis": ints(1)},
    ),
    # A weight that is computed from others.
    "weight-arithmetic": (
        17,
        [
            ("ReduceL2", "w", "norm", {"axes": [1, 2, 3]}),
            ("Div", "w norm", "u"),
            ("Mul", "u g", "k"),
            ("Conv", "x k", "y"),
        ],
        {"w": floats(4, 3, 3, 3), "g": positive(4, 1, 1, 1)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name, tmp_path, check):
    check(CASES[name], tmp_path / "net.onnx")


def test_every_operator_has_a_case():
    used = {node[0] for _, nodes, _ in CASES.values() for node in nodes} | {"Flatten"}
    assert used >= {k for k, f in OPERATORS.items() if f.__module__ == shaping.__name__}
