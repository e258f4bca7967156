"""Whether BatchNorms were folded is told where the file tells it, or else unknown."""

import json
import warnings

import numpy as np
import pytest

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.backbones.onnx_graph import read_network

CONV = ("Conv", "x w b", "y")
MADE_UP = ("Conv", "x 685 686", "y")
NORM = ("BatchNormalization", "y s b2 m v", "z")
# Nodes behind each other, and what can be known of them.
CASES: dict[str, tuple[list[tuple[str, str, str]], bool | None]] = {
    "nothing has a bias": ([("Conv", "x w", "y")], False),
    "a bias and a BatchNorm": ([CONV, NORM], False),
    "made-up names and a BatchNorm": ([MADE_UP, NORM], False),
    # Folded in PyTorch before the export, it would look the same.
    "a bias under its own name": ([CONV], None),
    "made-up names among kept ones": (
        [MADE_UP, ("PRelu", "y prelu.weight", "z")],
        True,
    ),
    "made-up names throughout": ([MADE_UP, ("PRelu", "y 690", "z")], None),
    "a made-up kernel alone": (
        [("Conv", "x 685 conv.bias", "y"), ("PRelu", "y prelu.weight", "z")],
        None,
    ),
    "a bias as an addition": ([("Conv", "x w", "y"), ("Add", "y add", "z")], None),
    "one folded, one with its own bias": (
        [MADE_UP, ("Conv", "y w b", "z")],
        True,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_names_tell(case, tmp_path, write):
    nodes, expected = CASES[case]
    rng = np.random.default_rng(0)
    shapes = dict.fromkeys(("w", "685"), (3, 3, 1, 1))
    shapes |= dict.fromkeys(("690", "prelu.weight", "add"), (3, 1, 1))
    vectors = ("b", "686", "conv.bias", "s", "b2", "m", "v")
    shapes |= dict.fromkeys(vectors, (3,))
    taken = {name for _, inputs, _ in nodes for name in inputs.split()}
    weights = {
        name: rng.uniform(0.1, 1, shape).astype(np.float32)
        for name, shape in shapes.items()
        if name in taken
    }
    # The writer flattens the value y.
    last = nodes[-1][2]
    turned: dict[str, str] = {"y": "first", last: "y"} if last != "y" else {}
    graph = [
        (op, " ".join(turned.get(n, n) for n in inputs.split()), turned.get(out, out))
        for op, inputs, out in nodes
    ]
    path = write(tmp_path / "net.onnx", graph, weights)
    assert read_network(path).folded is expected


@pytest.mark.twins
def test_the_exporter_of_pytorch(tmp_path):
    """Merged convolutions get new names; those with a bias of their own keep them."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    own, plain = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, bias=False)
    tail = [nn.PReLU(), nn.Flatten(), nn.Linear(5 * 12 * 12, 3)]
    networks = {
        "biases": (nn.Sequential(own, plain, *tail), None),
        "folded": (nn.Sequential(own, plain, nn.BatchNorm2d(5), *tail), True),
        "no bias": (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), plain, *tail), False),
    }
    for name, (module, expected) in networks.items():
        path = tmp_path / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter is deprecated
            image = torch.zeros(1, 3, 16, 16)
            torch.onnx.export(module.eval(), image, path, dynamo=False)
        backbone = load_backbone("onnx", path)
        assert backbone.provenance.folded is expected, name
        text = json.dumps(provenance_record(backbone))
        assert json.loads(text)["folded"] is expected
