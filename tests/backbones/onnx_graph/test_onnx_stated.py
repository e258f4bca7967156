"""An ONNX file's own epsilons and factors: taken by ports and graphs, or refused."""

import dataclasses
import json
import warnings

import jax
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors import safe_open

from prefiqs_jax.backbones import convert_weights, load_backbone
from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.families import MXNET_PIXELS
from prefiqs_jax.backbones.functional import blueprint, flatten
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.networks import iresnet, lresnet
from prefiqs_jax.backbones.networks.sface import check_scaling
from prefiqs_jax.backbones.zoo import ARCHITECTURES
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import embedding_jvp
from prefiqs_jax.weights import store

BLOCKS, WIDTHS, DIM = (1, 2, 1, 1), (2, 3, 3, 4), 5
EPSILON = 3e-4  # neither that of any architecture nor a float32 number
STATED = float(np.float32(EPSILON))


def build(rngs, folded=False):
    options = {"widths": WIDTHS, "embedding_dim": DIM, "folded": folded}
    return iresnet.IResNet(BLOCKS, rngs=rngs, **options)


def tiny(entries, preprocessing, name):
    """Make an architecture like those of the zoo, whose epsilon is 1e-5."""
    return Architecture(
        name=name,
        description="tiny",
        build=build,
        entries=entries,
        anchors=iresnet.ANCHORS if name == "tiny" else (),
        ignorable=lresnet.IGNORABLE if name == "tiny_mxnet" else iresnet.IGNORABLE,
        preprocessing=preprocessing,
        embedding_dim=DIM,
        licence="",
        recognises=lambda _: False,
        folded=lambda rngs: build(rngs, True),
    )


@pytest.fixture(autouse=True)
def zoo(monkeypatch):
    def torch_names(shapes):
        return pytorch_entries(shapes, {"params/fc/kernel": (WIDTHS[-1], 7, 7)})

    pixels = ARCHITECTURES["arcface_iresnet18"].preprocessing
    for name, entries, preprocessing in (
        ("tiny", torch_names, pixels),
        ("tiny_mxnet", lambda s: lresnet.mxnet_entries(s, fixed=()), MXNET_PIXELS),
    ):
        made = tiny(entries, preprocessing, name)
        monkeypatch.setitem(ARCHITECTURES, name, made)


@pytest.fixture(scope="module")
def exports(tmp_path_factory, rgb_images):
    """Export one network as InsightFace does (folded) and with all its BatchNorms."""
    torch = pytest.importorskip("torch")
    from backbones.twins.iresnet import iresnet as twin_of

    torch.manual_seed(0)
    twin = twin_of(BLOCKS, WIDTHS, embedding_dim=DIM, epsilon=EPSILON).eval()
    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.001, 0.1)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        elif isinstance(module, torch.nn.PReLU):
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    folder = tmp_path_factory.mktemp("exports")
    pixels = rgb_images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1
    with torch.inference_mode():
        np.save(folder / "outputs.npy", twin(torch.from_numpy(pixels)).numpy())
    modes = torch.onnx.TrainingMode
    for kind, mode in (("folded", modes.EVAL), ("unfolded", modes.PRESERVE)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter is deprecated
            torch.onnx.export(
                twin,
                torch.zeros(1, 3, 112, 112),
                folder / f"{kind}.onnx",
                dynamo=False,
                training=mode,
                opset_version=13,
            )
    model = onnx.load(folder / "unfolded.onnx")
    # The exporter has made up names for the slopes, which it has reshaped.
    rename(
        model,
        {
            n.input[1]: f"{n.name.split('/')[-2]}.weight"
            if n.name.count("/") == 2
            else f"{n.name.split('/')[-3]}.prelu.weight"
            for n in model.graph.node
            if n.op_type == "PRelu"
        },
    )
    onnx.save(model, folder / "unfolded.onnx")
    rename(model, mxnets_names())
    onnx.save(model, folder / "mxnet.onnx")
    return folder


def rename(model, names):
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def mxnets_names():
    """Give MXNet's name for PyTorch's; MXNet's own exporter does not fold."""
    shapes = blueprint(build).shapes
    ours = pytorch_entries(shapes, {"params/fc/kernel": (WIDTHS[-1], 7, 7)})
    theirs = {e.target: k for k, e in lresnet.mxnet_entries(shapes, fixed=()).items()}
    return {key: theirs[entry.target] for key, entry in ours.items()}


def as_float64(tree):
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


@pytest.fixture(scope="module")
def rgb_images():
    return np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)


def embedding_and_first_order(backbone, rgb_images, share=0.3):
    """Prune by global magnitude in double precision."""
    params = as_float64(backbone.params)
    delta = as_float64(pruning_delta(params, globally(magnitude)(params, share)))
    embedding, jvp = jax.jit(lambda p, d, x: embedding_jvp(backbone.apply_fn, p, d, x))(
        params, delta, backbone.preprocess(rgb_images, np.float64)
    )
    return np.asarray(embedding), np.linalg.norm(jvp, axis=-1)


CASES = [("tiny", "folded"), ("tiny", "unfolded"), ("tiny_mxnet", "mxnet")]


@pytest.mark.twins
@pytest.mark.parametrize(("name", "file"), CASES)
def test_a_port_computes_with_the_epsilons_of_the_file(
    exports, name, file, rgb_images, tmp_path
):
    path = exports / f"{file}.onnx"
    port, graph = load_backbone(name, path), load_backbone("onnx", path)
    if name == "tiny_mxnet":  # whose pixels the graph is not told
        graph = dataclasses.replace(graph, preprocessing=port.preprocessing)
    norms = 2 + sum(BLOCKS) if file == "folded" else 3 + 3 * sum(BLOCKS) + 4
    assert len(port.provenance.epsilons) == norms
    assert set(port.provenance.epsilons.values()) == {STATED}
    assert STATED != EPSILON
    assert port.provenance.folded is graph.provenance.folded is (file == "folded")
    json.dumps(provenance_record(port))

    embedding, first_order = embedding_and_first_order(port, rgb_images)
    expected, expected_first = embedding_and_first_order(graph, rgb_images)
    assert np.abs(embedding - expected).max() <= 1e-12
    assert np.abs(first_order / expected_first - 1).max() <= 1e-10
    assert first_order.min() > 1e-3

    converted = tmp_path / "converted.safetensors"
    convert_weights(path, converted, name)
    again = load_backbone(None, converted)
    assert again.provenance.epsilons == port.provenance.epsilons
    images = port.preprocess(rgb_images)
    same = again.apply_fn(again.params, images) == port.apply_fn(port.params, images)
    assert np.asarray(same).all()


@pytest.mark.twins
@pytest.mark.parametrize("file", ["folded", "unfolded"])
def test_a_port_gives_what_the_exported_network_gave(exports, file, rgb_images):
    port = load_backbone("tiny", exports / f"{file}.onnx")
    expected = np.load(exports / "outputs.npy")
    found = port.apply_fn(port.params, port.preprocess(rgb_images))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.weights
def test_sface_has_two(shared, rgb_images):
    path = shared("weights/face_recognition_sface_2021dec_int8bq.onnx")
    stated = load_backbone("sface", path).provenance.epsilons
    small, large = (float(np.float32(e)) for e in (2e-5, 1e-3))
    assert {layer for layer, e in stated.items() if e == small} == {"bn1", "fc1"}
    assert set(stated.values()) == {small, large}
    assert len(stated) == 29


def test_other_formats_keep_the_decimal_of_the_architecture(tmp_path):
    found = ARCHITECTURES["tiny"]
    rng = np.random.default_rng(0)
    tensors = {p: rng.random(s, np.float32) for p, s in found.blueprint.shapes.items()}
    about = {"backbone": "tiny", "preprocessing": found.preprocessing.to_json()}
    store.save(tmp_path / "own.safetensors", tensors, about)
    assert load_backbone(None, tmp_path / "own.safetensors").provenance.epsilons == {}


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ('{"bn1": 1e-5}', "states no epsilon, or one too many"),
        ('{"bn1": "small"}', "could not convert .*; convert the original again"),
        ("[1e-5]", "convert the original again"),
        ("{", "Expecting .*; convert the original again"),
        ("all: nan", "the epsilon of .* is nan"),
        ("all: -1e-5", "the epsilon of .* is -1e-05"),
    ],
)
def test_damaged_epsilons_of_a_converted_file(stated, said, tmp_path):
    found = ARCHITECTURES["tiny"]
    shapes = found.blueprint.shapes
    if stated.startswith("all"):
        layers = [p.split("/", 1)[1][:-4] for p in shapes if p.endswith("/var")]
        stated = json.dumps(dict.fromkeys(layers, float(stated[5:])))
    about = {"backbone": "tiny", "preprocessing": found.preprocessing.to_json()}
    path = tmp_path / "own.safetensors"
    tensors = {p: np.ones(s, np.float32) for p, s in shapes.items()}
    store.save(path, tensors, about | {"epsilons": stated})
    with safe_open(path, "numpy") as file:
        assert file.metadata()["epsilons"] == stated
    with pytest.raises(InputError, match=said) as error:
        load_backbone(None, path)
    assert str(path) in str(error.value)


def change(node, **attributes):
    kept = [a for a in node.attribute if a.name not in attributes]
    del node.attribute[:]
    made = [helper.make_attribute(k, v) for k, v in attributes.items() if v is not None]
    node.attribute.extend([*kept, *made])


WRONG = {
    "alpha": ("Gemm", 0, {"alpha": 2.0}, "alpha = 2"),
    "beta": ("Gemm", 0, {"beta": 0.5}, "beta = 0.5"),
    # The stride on the first convolution of a block, as torchvision has it.
    "strides": ("Conv", 1, {"strides": [2, 2]}, r"strides = \[2, 2\]"),
    "pads": ("Conv", 1, {"pads": [0, 0, 2, 2]}, r"pads = \[0, 0, 2, 2\]"),
    "no pads": ("Conv", 1, {"pads": None}, r"pads = \[0, 0, 0, 0\]"),
    "dilations": ("Conv", 1, {"dilations": [2, 2]}, r"dilations = \[2, 2\]"),
    "valid": ("Conv", 1, {"pads": None, "auto_pad": "VALID"}, r"pads = \[0, 0, 0, 0\]"),
    # At an even size this pads nothing on top and left.
    "same": ("Conv", 2, {"pads": None, "auto_pad": "SAME_UPPER"}, "pads = SAME_UPPER"),
}


@pytest.mark.twins
@pytest.mark.parametrize("file", ["folded", "unfolded"])
@pytest.mark.parametrize("case", WRONG)
def test_what_the_port_does_not_compute_is_refused(exports, file, case, tmp_path):
    operator, number, attributes, said = WRONG[case]
    model = onnx.load(exports / f"{file}.onnx")
    node = [n for n in model.graph.node if n.op_type == operator][number]
    change(node, **attributes)
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    # A graph whose shapes no longer fit is refused while it is read.
    with pytest.raises(InputError, match=rf"{said}|does not fit|values for") as error:
        load_backbone("tiny", path)
    assert len(str(error.value).splitlines()) == 1
    if file == "unfolded":
        assert str(error.value).endswith("--backbone onnx")


@pytest.mark.twins
def test_same_padding_without_a_stride_is_that_of_the_port(
    exports, tmp_path, rgb_images
):
    model = onnx.load(exports / "unfolded.onnx")
    node = [n for n in model.graph.node if n.op_type == "Conv"][1]
    change(node, pads=None, auto_pad="SAME_UPPER")
    onnx.save(model, tmp_path / "same.onnx")
    one, two = (
        load_backbone("tiny", p)
        for p in (exports / "unfolded.onnx", tmp_path / "same.onnx")
    )
    images = one.preprocess(rgb_images)
    same = one.apply_fn(one.params, images) == two.apply_fn(two.params, images)
    assert np.asarray(same).all()
    assert flatten(one.params).keys() == flatten(two.params).keys()


def test_pixels_are_scaled_with_all_of_sfaces_constants_or_none():
    right = {
        "scalar_op1": np.full(1, 127.5, np.float32),
        "scalar_op2": np.array(1 / 128, np.float32),
    }
    check_scaling(right)
    check_scaling({})
    for wrong in (
        {"scalar_op1": np.full(1, 127.5, np.float32)},
        {"scalar_op2": np.array(1 / 128, np.float32)},
        right | {"scalar_op2": np.array(0.0078124, np.float32)},
        right | {"scalar_op1": np.array(127.50001, np.float32)},
    ):
        with pytest.raises(InputError, match="its pixels are scaled with"):
            check_scaling(wrong)


NODES = {
    "BatchNormalization": ("s b m v", {"epsilon": 1e-3}),
    "BatchNormalization, default": ("s b m v", {}),
    "InstanceNormalization": ("s b", {"epsilon": 0.02}),
    "LayerNormalization": ("w", {"epsilon": 0.02}),
    "LeakyRelu": ("", {"alpha": 0.1}),
    "LeakyRelu, default": ("", {}),
    "Elu": ("", {"alpha": 0.7}),
    "Celu": ("", {"alpha": 0.7}),
    "Selu": ("", {"alpha": 1.3, "gamma": 0.9}),
    "HardSigmoid": ("", {"alpha": 0.3, "beta": 0.45}),
    "HardSigmoid, default": ("", {}),
}


@pytest.mark.parametrize("case", NODES)
def test_a_graph_computes_with_the_numbers_of_its_file(case, tmp_path, write, ours):
    """In float64, against ONNX's own reference in NumPy."""
    operator = case.partition(",")[0]
    inputs, attributes = NODES[case]
    rng = np.random.default_rng(3)
    weights = {k: rng.uniform(0.1, 0.5, 3).astype(np.float32) for k in "sbmv"}
    weights["w"] = rng.uniform(0.1, 0.5, 8).astype(np.float32)
    weights["v"] /= 1000  # the epsilon must count
    nodes = [(operator, f"x {inputs}", "y", attributes.items())]
    used = {k: v for k, v in weights.items() if k in inputs.split()}
    path = write(tmp_path / "net.onnx", nodes, used)
    x = rng.normal(0, 0.5, (2, 3, 9, 8))
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        doubled = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(doubled, tensor.name))
    reference = ReferenceEvaluator(model)
    answers = [list(reference.run(None, {"x": rgb_image[None]})) for rgb_image in x]
    expected = np.concatenate([rows for (rows,) in answers])
    assert expected.dtype == np.float64
    found = ours(path, np.float64)(x.transpose(0, 2, 3, 1))
    assert np.abs(found - expected).max() <= 1e-13 * np.abs(expected).max()
