"""Activations of networks, read off their programs: those their modules report."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from PIL import Image

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.function import from_function
from prefiqs_jax.backbones.functional import flatten, unflatten
from prefiqs_jax.backbones.identity import weights_digest
from prefiqs_jax.backbones.networks import layers, vit
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    activations,
    linearise_kinks,
    near_kinks,
    norms,
    open_kinks,
    sides_of,
    sign_flips,
    unit,
)

quick_jit = jit_at_level(1)
SFACE = "weights/face_recognition_sface_2021dec_int8bq.onnx"


def drawn(name, seed=0):
    """Give (apply_fn, params) of an architecture with random weights in float64."""
    plan = architecture(name).blueprint
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        if path.endswith(("scale", "var")):
            return rng.uniform(0.5, 1.5, shape)
        return rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[:-1])))

    both = unflatten({path: draw(path, s) for path, s in plan.shapes.items()})
    statistics = both.get("statistics", {})
    return lambda p, x: plan.run(p, statistics, x), both["params"]


def forms(name, batch=2):
    """Give the names and shapes of the activations of an architecture; no weights."""
    found = architecture(name)
    plan = found.blueprint
    pixels = found.preprocessing
    images = jax.ShapeDtypeStruct((batch, pixels.height, pixels.width, 3), jnp.float32)

    def inputs(params, statistics, images):
        find = activations(lambda p, x: plan.run(p, statistics, x))
        return find(params, images)

    return jax.eval_shape(inputs, plan.params, plan.statistics, images), plan


# Architecture to its number of PReLUs.
PRELUS = {
    "demo": 1 + 6,
    "sface": 1 + 2 * 13,
    "arcface_iresnet18": 1 + 8,
    "arcface_mobilefacenet": None,
    "xiaoccer_mobilefacenet": None,
}


@pytest.mark.parametrize("name", PRELUS)
def test_prelus_have_the_names_of_their_layers(name):
    found, plan = forms(name)
    slopes = [path for path in flatten(plan.params) if path.endswith("/slope")]
    layers_ = {path.rpartition("/")[0].replace("/", ".") for path in slopes}
    assert set(found) == layers_
    assert len(slopes) == len(found) == (PRELUS[name] or len(slopes)) > 0
    for value in found.values():
        assert value.shape[0] == 2
        assert len(value.shape) == 4


def test_vit_has_two_kinks_a_block():
    found, _ = forms("arcface_vit_t")
    layers_ = [f"after blocks.{block}.mlp.fc1" for block in range(12)]
    assert set(found) == {name + at for name in layers_ for at in ("", " at 6")}
    assert {value.shape for value in found.values()} == {(2, 144, 1024)}


@pytest.mark.slow
def test_deep_networks():
    found, _ = forms("arcface_iresnet50")
    assert len(found) == 25
    assert "layer3.2.prelu" in found


def reported(monkeypatch, apply_fn, params, images):
    """Run a network whose PReLUs and ReLU6 tell their inputs, in their order."""
    seen = []

    def prelu(layer, x, plain=layers.PReLU.__call__):
        seen.append(x)
        return plain(layer, x)

    def relu6(x, plain=vit.relu6):
        seen.extend((x, x - 6))
        return plain(x)

    with monkeypatch.context() as patch:
        patch.setattr(layers.PReLU, "__call__", prelu)
        patch.setattr(vit, "relu6", relu6)
        apply_fn(params, images)
    return seen


CHECKED = ["demo"]
LARGER = ["arcface_vit_t", "arcface_mobilefacenet", "sface", "arcface_iresnet18"]
DEEP = [pytest.param(name, marks=pytest.mark.slow) for name in LARGER]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED + DEEP)
def test_inputs_are_those_that_the_modules_report(name, monkeypatch):
    apply_fn, params = drawn(name)
    shape = forms(name, 1)[0]
    images = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (1, 112, 112, 3)))
    names = []

    @quick_jit
    def both(params, images):
        told = reported(monkeypatch, apply_fn, params, images)
        found = activations(apply_fn)(params, images)
        names.extend(found)  # in their order, which a dictionary of JAX's loses
        return told, list(found.values())

    expected, found = both(params, images)
    assert len(found) == len(expected) == len(shape)
    for key, ours, theirs in zip(names, found, expected, strict=True):
        assert ours.shape == theirs.shape == shape[key].shape
        assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(theirs).max(), key


def relu_network(params, images):
    return jax.nn.relu(images.reshape(len(images), -1) @ params["fc"])


WEIGHTS = {"fc": np.random.default_rng(0).standard_normal((12, 4), np.float32)}


def test_functions_may_bring_their_own():
    def own(params, images):
        return {"mine": images.reshape(len(images), -1) @ params["fc"]}

    backbone, other = (
        from_function(relu_network, WEIGHTS, (2, 2, 3), activations_fn=each)
        for each in (None, own)
    )
    images = jnp.asarray(np.random.default_rng(1).standard_normal((5, 2, 2, 3), "f4"))
    (name, found), (mine, expected) = (
        next(iter(each.activations_fn(WEIGHTS, images).items()))
        for each in (backbone, other)
    )
    assert (name, mine) == ("after fc", "mine")
    assert found.shape == (5, 4)
    assert (found == expected).all()
    # Rows of the one are not those of the other.
    assert weights_digest(backbone) != weights_digest(other)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (lambda p, x: x, "gives a ShapeDtypeStruct for two"),
        (lambda p, x: {"a": x.sum()}, r"gives 'a': \(\) for two"),
        (lambda p, x: {"a": x > 0}, r"gives 'a': \(2, 2, 2, 3\) for two"),
        (lambda p, x: {"a": x @ p["fc"]}, "activations_fn cannot be traced"),
    ],
)
def test_activations_that_are_none(own, said):
    with pytest.raises(InputError, match=said):
        from_function(relu_network, WEIGHTS, (2, 2, 3), activations_fn=own)


def test_what_is_not_smooth_is_said_when_asked_for():
    def apply_fn(params, images):
        return jnp.sort(images.reshape(len(images), -1) @ params["fc"])

    backbone = from_function(apply_fn, WEIGHTS, (2, 2, 3))
    with pytest.raises(InputError, match=r"^sort after fc is not smooth"):
        backbone.activations_fn(WEIGHTS, jnp.zeros((1, 2, 2, 3), jnp.float32))


@pytest.mark.weights
@pytest.mark.slow
def test_the_graph_of_sface_flips_as_the_port_does(shared):
    """The same units, whatever their names, in float64."""
    file = shared(SFACE)
    folder = shared("faces/lfw100")
    faces = [np.asarray(Image.open(f)) for f in sorted(folder.glob("*.png"))[:2]]
    counts = []
    for name in ("sface", "onnx"):
        backbone = load_backbone(name, file)
        params = jax.tree.map(lambda w: np.asarray(w, np.float64), backbone.params)
        # Not by rank: equal weights of the file come in another order.
        delta = jax.tree.map(
            lambda w: -w * (np.abs(w) < 0.07 * np.abs(w).max()) * (w.ndim > 1), params
        )
        images = backbone.preprocess(np.stack(faces), np.float64)
        flips = quick_jit(lambda *all_, b=backbone: sign_flips(b.activations_fn, *all_))
        found = flips(params, delta, images)
        # JAX sorts them by their names, which are others.
        names = open_kinks(backbone.apply_fn, params, images).names
        counts.append([np.asarray(found[name]) for name in names])
    port, graph = counts
    assert len(port) == len(graph) == 27
    assert (np.array(port) == np.array(graph)).all()
    assert (np.array(port) > 0).all()


@pytest.mark.weights
@pytest.mark.slow
def test_float32_differs_by_sides_alone(shared):
    """With the sides of float64, float32 has its first order; others are near kinks."""
    backbone = load_backbone("sface", shared(SFACE))
    files = sorted(shared("faces/lfw100").rglob("*.png"))
    faces = np.stack([np.asarray(Image.open(file)) for file in files[:3]])

    def first(params, delta, images):
        opened = open_kinks(backbone.apply_fn, params, images)
        found = linearise_kinks(opened, params, images)
        near = near_kinks(backbone.activations_fn, params, images)
        return norms(found.dense.push(delta)), sides_of(found.inputs), near

    def on_sides(params, delta, images, sides):
        opened = open_kinks(backbone.apply_fn, params, images)

        def embedding(weights):
            return unit(opened.frozen(weights, images, sides))

        return norms(jax.jvp(embedding, (params,), (delta,))[1])

    found = []
    for dtype in (np.float32, np.float64):
        params = jax.tree.map(lambda w, t=dtype: np.asarray(w, t), backbone.params)
        delta = pruning_delta(params, globally(magnitude)(params, 0.3))
        arguments = params, delta, backbone.preprocess(faces, dtype)
        found.append((arguments, *jax.jit(first)(*arguments)))
    (single, _, sides, near), (_, expected, exact, none) = found
    ours = jax.jit(on_sides)(*single, exact)
    assert np.abs(np.asarray(ours, np.float64) / expected - 1).max() < 2e-6
    for name, side in sides.items():
        each = (1, 2, 3)
        assert (((side < 0) != (exact[name] < 0)).sum(each) <= near[name]).all(), name
    assert sum(count.sum() for count in near.values()) > 0
    assert sum(count.sum() for count in none.values()) == 0
