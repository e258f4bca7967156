"""Contributions of layers against pushes of each layer's change alone, in float64."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from PIL import Image
from safetensors.numpy import save_file
from toy import toy_network

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.convolutions.convolution import convolve
from prefiqs_jax.backbones.convolutions.depthwise import shifted_depthwise
from prefiqs_jax.backbones.convolutions.reverse import depthwise_for_reverse
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    contributions_given,
    drift,
    embed,
    embedding_jvp,
    layer_contributions,
    leaves_by_depth,
    linearise,
    linearise_layers,
    norms,
    path_layer_contributions,
)
from prefiqs_jax.trees import is_prunable, map_named, named_leaves

quick_jit = jit_at_level(0)


def only(delta, name, keep: Any = 1.0):
    """Give δ on one leaf, times ``keep``; zero elsewhere."""
    return map_named(lambda n, d: d * keep if n == name else jnp.zeros_like(d), delta)


def pushed(apply_fn, params, delta, images):
    """Push each leaf's change alone: the definition, two forward passes for each."""
    names = [name for name, _ in named_leaves(params)]

    @quick_jit
    def push_all(params, deltas, images):
        return jax.lax.map(linearise(apply_fn, params, images).push, deltas)

    each = [delta, *(only(delta, name) for name in names)]
    deltas = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    whole, *alone = push_all(params, deltas, images)
    along = whole / norms(whole)[:, None]
    return norms(whole), {
        name: jnp.sum(along * jvp, -1) for name, jvp in zip(names, alone, strict=True)
    }


@functools.cache
def compiled(apply_fn, **options):
    """Give the contributions of a network as one program, which tests share."""
    return quick_jit(functools.partial(layer_contributions, apply_fn, **options))


@pytest.fixture(scope="module")
def toy():
    """Give the same function to every test: of another one nothing is shared."""
    return toy_network()


def random_like(params, seed=7):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape)) * 0.1, params)


def conv(x, kernel, spec=("NHWC", "HWIO", "NHWC"), groups=1):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=spec, feature_group_count=groups
    )


def head(p, x):
    return jnp.tanh(x).mean((1, 2)) @ p["head"]


def torch_order(p, x):  # (out, in, kh, kw), channels first, as in equinox and PyTorch
    x = conv(x.transpose(0, 3, 1, 2), p["w"], ("NCHW", "OIHW", "NCHW"))
    return head(p, x.transpose(0, 2, 3, 1))


def one_image_at_a_time(p, x):  # as equinox modules are run
    def single(image):
        y = conv(image.transpose(2, 0, 1)[None], p["w"], ("NCHW", "OIHW", "NCHW"))[0]
        return p["head"].T @ jnp.tanh(y).mean((1, 2))

    return jax.vmap(single)(x)


def scaled(p, x):  # a weight that is a product, and weight normalisation
    v = p["v"]
    norm = jnp.sqrt(jnp.sum(v**2, (0, 1, 2), keepdims=True))
    return head(p, conv(x, p["g"][None, None, None] * v / norm))


def shared_weights(p, x):
    y = jnp.tanh(conv(x, p["w"]))
    return head(p, conv(y, p["w"]) + 0.5 * y)


def transposed(p, x):
    y = jnp.tanh(x.reshape(len(x), -1)[:, :12] @ p["w"].T)
    return y @ p["w"] @ p["out"]


def with_einsum(p, x):
    y = jnp.einsum("nhwc,hwcd->nd", x, p["places"])
    y = jnp.einsum("nc,cko->nko", jnp.sin(y), p["heads"])
    return jnp.einsum("nko,ko->no", y, p["each"])


def grouped(p, x):
    return head(p, conv(x, p["w"], groups=3))


def checkpointed(p, x):
    block = jax.checkpoint(lambda w, y: jnp.tanh(conv(y, w["w"])) * w["scale"])
    return head(p, jax.jit(block)({"w": p["w"], "scale": p["scale"]}, x))


def in_a_scan(p, x):
    def step(y, w):
        return jnp.tanh(y @ w + y @ p["same"]), y.sum(-1)

    y, sums = jax.lax.scan(step, x.reshape(len(x), -1)[:, :5], p["steps"])
    return jnp.concatenate([y, sums.T], -1)


def in_a_while_loop(p, x):
    y = x.reshape(len(x), -1)[:, :5]
    return jax.lax.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, jnp.tanh(s[1] @ p["w"])), (0, y)
    )[1]


def of_constants(p, x):  # a part of the embedding knows no image
    return jnp.concatenate([p["a"] * jnp.ones((len(x), 1)), x[:, 0, 0] @ p["w"]], -1)


def with_own_rule(p, x):
    @jax.custom_jvp
    def straight(w):
        return jnp.round(w * 4) / 4

    straight.defjvp(lambda w, t: (straight(*w), t[0]))
    return head(p, conv(x, straight(p["w"])))


SHAPES = {
    torch_order: {"w": (4, 3, 3, 3), "head": (4, 6)},
    one_image_at_a_time: {"w": (4, 3, 3, 3), "head": (4, 6)},
    scaled: {"v": (3, 3, 3, 4), "g": (4,), "head": (4, 6)},
    shared_weights: {"w": (3, 3, 3, 3), "head": (3, 6)},
    transposed: {"w": (7, 12), "out": (12, 6)},
    with_einsum: {"places": (5, 4, 3, 8), "heads": (8, 2, 6), "each": (2, 6)},
    grouped: {"w": (3, 3, 1, 6), "head": (6, 6)},
    checkpointed: {"w": (3, 3, 3, 4), "scale": (1, 1, 1, 4), "head": (4, 6)},
    in_a_scan: {"steps": (3, 5, 5), "same": (5, 5)},
    in_a_while_loop: {"w": (5, 5)},
    of_constants: {"a": (1, 3), "w": (3, 4)},
    with_own_rule: {"w": (3, 3, 3, 4), "head": (4, 6)},
}
NO_FILTERS = {in_a_scan: "scan", in_a_while_loop: "unknown length"}
FUNCTIONS = {function.__name__: function for function in SHAPES}


@pytest.fixture(params=FUNCTIONS)
def function(request):
    """Give (apply_fn, params, delta, images) of a function of the user's."""
    apply_fn = FUNCTIONS[request.param]
    rng = np.random.default_rng(3)
    params = {
        name: jnp.asarray(rng.normal(size=shape))
        for name, shape in SHAPES[apply_fn].items()
    }
    images = jnp.asarray(rng.normal(size=(3, 5, 4, 3)))
    return apply_fn, params, random_like(params), images


def check(network, tolerance=1e-10, **options):
    whole, expected = pushed(*network)
    found = compiled(network[0], **options)(*network[1:])
    assert found.keys() == expected.keys()
    for name, alone in expected.items():
        np.testing.assert_allclose(found[name], alone, rtol=0, atol=tolerance)
    np.testing.assert_allclose(sum(found.values()), whole, rtol=tolerance)
    return found


@pytest.mark.slow
def test_each_leaf_alone_on_functions(function):
    found = check(function)
    assert all(np.abs(each).max() > 1e-4 for each in found.values())


@pytest.mark.slow
def test_each_leaf_alone_on_the_toy(toy):
    apply_fn, params, images = toy
    check((apply_fn, params, random_like(params), images))


OUTPUTS = {  # axes of the filters, where they are not the last one
    torch_order: {"w": (0,)},
    one_image_at_a_time: {"w": (0,)},
    with_einsum: {"heads": (1, 2)},
}
NO_FILTERS = {
    in_a_scan: "same goes into the operation 'scan'",
    in_a_while_loop: "loop of unknown length",
    transposed: "w goes into operations of 7 and of 12 outputs",
}


def check_filters(apply_fn, params, delta, images, outputs, tolerance=1e-10):
    """Hold every filter's contribution against the push of that filter alone."""
    found = compiled(apply_fn, by_filter=True)(params, delta, images)
    push = quick_jit(linearise(apply_fn, params, images).push)
    whole = push(delta)
    along = whole / norms(whole)[:, None]
    for name, leaf in named_leaves(delta):
        axes = outputs.get(name, (leaf.ndim - 1,))
        shape = [leaf.shape[axis] for axis in axes]
        assert found[name].shape == (len(images), np.prod(shape))
        for index in range(np.prod(shape)):
            keep = np.zeros(leaf.shape)
            place: list[Any] = [slice(None)] * leaf.ndim
            for axis, at in zip(axes, np.unravel_index(index, shape), strict=True):
                place[axis] = at
            keep[tuple(place)] = 1
            alone = jnp.sum(along * push(only(delta, name, keep)), -1)
            gap = np.abs(found[name][:, index] - alone)
            assert gap.max() < tolerance, (name, index)
    total = sum(each.sum(1) for each in found.values())
    np.testing.assert_allclose(total, norms(whole), rtol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [name for name, of in FUNCTIONS.items() if of not in (*NO_FILTERS, of_constants)],
    indirect=True,
)
def test_each_filter_alone_on_functions(function):
    apply_fn, params, delta, images = function
    outputs = OUTPUTS.get(apply_fn, {})
    check_filters(apply_fn, params, delta, images, outputs)


@pytest.mark.slow
def test_each_filter_alone_on_the_toy(toy):
    apply_fn, params, images = toy
    check_filters(apply_fn, params, random_like(params), images, {})


@pytest.mark.slow
@pytest.mark.parametrize("function", [of.__name__ for of in NO_FILTERS], indirect=True)
def test_operations_without_filters(function):
    with pytest.raises(InputError, match=NO_FILTERS[function[0]]):
        jax.eval_shape(compiled(function[0], by_filter=True), *function[1:])


@pytest.fixture(scope="module")
def pruned(toy):
    apply_fn, params, images = toy
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))
    return apply_fn, params, delta, images


@pytest.mark.slow
def test_unchanged_leaves_add_exactly_nothing(pruned):
    apply_fn, params, delta, images = pruned
    still = {n for n, d in named_leaves(delta) if not np.any(d)}
    assert still
    under_jit = compiled(apply_fn)
    eager = layer_contributions(*pruned)
    jitted = under_jit(params, delta, images)
    for name, each in eager.items():
        np.testing.assert_allclose(each, jitted[name], rtol=0, atol=1e-13)
        assert (name in still) == (not np.any(each)) == (not np.any(jitted[name]))
    nothing = under_jit(params, jax.tree.map(jnp.zeros_like, delta), images)
    assert all(np.array_equal(each, np.zeros(5)) for each in nothing.values())


@pytest.mark.slow
def test_only_what_may_be_pruned(pruned):
    apply_fn, params, delta, images = pruned
    whole = compiled(apply_fn)(params, delta, images)
    some = layer_contributions(*pruned, prunable=is_prunable)
    assert set(some) == {n for n, w in named_leaves(params) if is_prunable(n, w)}
    for name, each in some.items():
        np.testing.assert_allclose(each, whole[name], rtol=0, atol=1e-13)
    # What the predicate admits is all that u is made of.
    fc = layer_contributions(*pruned, prunable=lambda name, _: name == "fc/kernel")
    _, jvp = embedding_jvp(apply_fn, params, only(delta, "fc/kernel"), images)
    np.testing.assert_allclose(fc["fc/kernel"], norms(jvp), rtol=1e-10)


def test_along_a_given_direction(pruned):
    apply_fn, params, delta, images = pruned
    along = jnp.asarray(np.random.default_rng(1).normal(size=(5, 6)))
    given = quick_jit(functools.partial(contributions_given, apply_fn))
    found = given(params, delta, images, along)
    push = quick_jit(functools.partial(embedding_jvp, apply_fn))
    _, jvp = push(params, delta, images)
    total = jnp.sum(along * jvp, -1)
    np.testing.assert_allclose(sum(found.values()), total, rtol=1e-10)
    for name in ("conv1/kernel", "depthwise/kernel", "fc/kernel"):
        _, alone = push(params, only(delta, name), images)
        np.testing.assert_allclose(
            found[name], jnp.sum(along * alone, -1), rtol=0, atol=1e-10
        )


@pytest.mark.parametrize(
    "by_filter", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_directions_share_a_pass(pruned, by_filter):
    apply_fn, params, delta, images = pruned
    rng = np.random.default_rng(2)
    along = jnp.asarray(rng.normal(size=(2, 5, 6)))
    deltas = jax.tree.map(lambda d: jnp.stack([d, -2 * d]), delta)
    settings = {"by_filter": by_filter, "prunable": is_prunable}

    def shared(params, deltas, along):
        lin = linearise_layers(apply_fn, params, images, **settings)
        given = jax.lax.map(lambda both: lin.along(*both), (deltas, along))
        return lin.embedding, lin.norm, given, jax.lax.map(lin.push, deltas)

    z, norm, found, (jvps, own) = quick_jit(shared)(params, deltas, along)
    raw = quick_jit(apply_fn)(params, images)
    np.testing.assert_allclose(norm, norms(raw), rtol=1e-13)
    np.testing.assert_allclose(z, raw / norm[:, None], rtol=0, atol=1e-13)
    given = quick_jit(functools.partial(contributions_given, apply_fn, **settings))
    alone = quick_jit(functools.partial(layer_contributions, apply_fn, **settings))
    push = quick_jit(functools.partial(embedding_jvp, apply_fn))
    for place in range(2):
        moving = map_named(
            lambda name, w, d, place=place: d[place] * float(is_prunable(name, w)),
            params,
            deltas,
        )
        _, jvp = push(params, moving, images)
        np.testing.assert_allclose(jvps[place], jvp, rtol=0, atol=1e-12)
        for ours, theirs in (
            (found, given(params, moving, images, along[place])),
            (own, alone(params, moving, images)),
        ):
            assert ours.keys() == theirs.keys()
            for name, value in theirs.items():
                np.testing.assert_allclose(ours[name][place], value, rtol=0, atol=1e-12)
    # What the pass keeps of a kernel is not copied for each image.
    shapes = {
        var.aval.shape
        for equation in jax.make_jaxpr(shared)(params, deltas, along).jaxpr.eqns
        for var in equation.outvars
    }
    kernels = [w.shape for name, w in named_leaves(params) if is_prunable(name, w)]
    assert shapes.isdisjoint((len(images), *shape) for shape in kernels)
    with pytest.raises(InputError, match="structure"):
        linearise_layers(apply_fn, params, images).push({"fc": delta["fc"]})


@pytest.mark.slow
def test_images_do_not_mix(pruned):
    apply_fn, params, delta, images = pruned
    whole = compiled(apply_fn)(params, delta, images)
    alone = compiled(apply_fn)(params, delta, images[2:3])
    for name, each in whole.items():
        np.testing.assert_allclose(each[2:3], alone[name], rtol=0, atol=1e-13)


@pytest.mark.slow
def test_a_zero_embedding_is_nan():
    found = layer_contributions(
        lambda p, x: x @ p["w"],
        {"w": jnp.eye(2)},
        {"w": jnp.ones((2, 2))},
        jnp.array([[0.0, 0.0], [1.0, 0.0]]),
    )
    assert np.isnan(found["w"]).tolist() == [True, False]


def depthwise_network(depthwise):
    def apply_fn(p, x):
        y = jnp.tanh(depthwise(x, p["depthwise"], 1, 1) * p["scale"][None, None, None])
        return head(p, y)

    return apply_fn


@pytest.mark.slow
def test_a_form_that_is_quick_in_reverse():
    rng = np.random.default_rng(6)
    shapes = {"depthwise": (3, 3, 1, 3), "scale": (3,), "head": (3, 4)}
    params = {n: jnp.asarray(rng.normal(size=s)) for n, s in shapes.items()}
    delta, images = random_like(params), jnp.asarray(rng.normal(size=(3, 5, 4, 3)))
    plain = depthwise_network(shifted_depthwise)
    quick = depthwise_network(depthwise_for_reverse)
    found = check((plain, params, delta, images), reverse_fn=quick)
    by_filter = compiled(plain, reverse_fn=quick, by_filter=True)
    filters = by_filter(params, delta, images)
    assert filters["depthwise"].shape == (3, 3)
    for name, each in found.items():
        np.testing.assert_allclose(filters[name].sum(1), each, rtol=0, atol=1e-12)
    some = layer_contributions(
        plain, params, delta, images, reverse_fn=quick, prunable=is_prunable
    )
    _, jvp = embedding_jvp(plain, params, delta | {"scale": jnp.zeros(3)}, images)
    np.testing.assert_allclose(sum(some.values()), norms(jvp), rtol=1e-10)


def test_order_of_depth(toy):
    apply_fn, params, images = toy
    order = leaves_by_depth(apply_fn, params, images)
    assert set(order) == {name for name, _ in named_leaves(params)}
    kernels = [name for name in order if name.endswith("kernel")]
    assert kernels == ["conv1/kernel", "depthwise/kernel", "fc/kernel"]
    assert order.index("conv1/kernel") < order.index("bn1/scale")
    assert order.index("bn1/scale") < order.index("prelu/slope")


@pytest.fixture(scope="module")
def smooth():
    """Give (apply_fn, params, delta, images) without kinks, and a large δ."""
    rng = np.random.default_rng(4)
    shapes = SHAPES[checkpointed]
    params = {n: jnp.asarray(rng.normal(size=s)) for n, s in shapes.items()}
    delta = jax.tree.map(lambda w: jnp.where(jnp.abs(w) < 1, -0.4 * w, 0), params)
    return checkpointed, params, delta, jnp.asarray(rng.normal(size=(3, 5, 4, 3)))


@pytest.fixture(scope="module")
def path(smooth):
    along = functools.partial(path_layer_contributions, smooth[0], nodes=12)
    return quick_jit(along)(*smooth[1:])


def test_the_path_sums_to_the_drift(smooth, path):
    moved = drift(*smooth)
    assert moved.min() > 0.02
    np.testing.assert_allclose(path.drift, moved, rtol=1e-14)
    assert np.abs(path.error).max() < 1e-8
    total = sum(path.contributions.values())
    np.testing.assert_allclose(total - moved, path.error, rtol=0, atol=1e-14)


@pytest.mark.slow
def test_the_path_against_many_small_steps(smooth, path):
    """Hold each leaf's part against the midpoint rule on pushes of that leaf alone."""
    apply_fn, params, delta, images = smooth
    moved = embed(apply_fn, jax.tree.map(jnp.add, params, delta), images)
    moved = moved - embed(apply_fn, params, images)
    along = moved / norms(moved)[:, None]

    @quick_jit
    def at(t, direction):
        on_the_way = jax.tree.map(lambda w, d: w + t * d, params, delta)
        _, jvp = embedding_jvp(apply_fn, on_the_way, direction, images)
        return jnp.sum(along * jvp, -1)

    steps = 200
    for name in params:
        alone = only(delta, name)
        midpoints = [at((i + 0.5) / steps, alone) for i in range(steps)]
        found = path.contributions[name]
        np.testing.assert_allclose(found, np.mean(midpoints, 0), rtol=0, atol=2e-6)


@pytest.mark.slow
def test_panels_narrow_the_error_of_kinks(pruned):
    apply_fn, params, _, images = pruned
    delta = jax.tree.map(lambda w: jnp.where(jnp.abs(w) < 0.3, -0.3 * w, 0), params)
    along = functools.partial(path_layer_contributions, apply_fn, nodes=2)
    errors = [
        np.abs(
            quick_jit(functools.partial(along, panels=panels))(
                params, delta, images
            ).error
        ).mean()
        for panels in (1, 64)
    ]
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize("name", ["nodes", "panels"])
def test_counts_below_one(pruned, name):
    with pytest.raises(InputError, match=f"{name} is 0, but must be at least 1"):
        path_layer_contributions(*pruned, **{name: 0})


def test_a_delta_that_does_not_fit(pruned):
    apply_fn, params, delta, images = pruned
    with pytest.raises(InputError, match="structure"):
        layer_contributions(apply_fn, params, {"fc": delta["fc"]}, images)


def golden(name, golden_weights, shared, folder):
    manifest = golden_weights.load_manifest(shared(f"golden/{name}.manifest.json"))
    state = golden_weights.golden_state_dict(manifest, seed=manifest["weights"]["seed"])
    path = folder / "weights.safetensors"
    save_file(state, path)
    return load_backbone(name, path)


SFACE = "weights/face_recognition_sface_2021dec_int8bq.onnx"


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize(
    "name", ["arcface_iresnet18", "arcface_vit_t", "sface", "onnx", "demo"]
)
def test_real_networks(name, golden_weights, shared, tmp_path):
    if name in ("sface", "onnx"):
        backbone = load_backbone(name, shared(SFACE))
    elif name == "demo":
        backbone = load_backbone(name, None)
    else:
        backbone = golden(name, golden_weights, shared, tmp_path)
    face = min(shared("faces/lfw100").rglob("*.png"))
    rgb_images = np.asarray(Image.open(face))[None]
    images = jnp.asarray(backbone.preprocess(rgb_images), jnp.float64)
    apply_fn = backbone.apply_fn
    params = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), backbone.params)
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))
    # Compiling takes longer than running, but for this option.
    jit = jit_at_level(1)
    split = functools.partial(layer_contributions, apply_fn, prunable=is_prunable)

    @jit
    def both(*network):  # they share their passes, so one program is compiled
        return split(*network), split(*network, by_filter=True)

    found, filters = both(params, delta, images)
    push = jit(functools.partial(embedding_jvp, apply_fn))
    _, jvp = push(params, delta, images)
    np.testing.assert_allclose(sum(found.values()), norms(jvp), rtol=1e-10)
    for layer, each in filters.items():
        np.testing.assert_allclose(each.sum(1), found[layer], rtol=0, atol=1e-12)
    names = [n for n in leaves_by_depth(apply_fn, params, images) if n in found]
    along = jvp / norms(jvp)[:, None]
    for layer in names[:: max(1, len(names) // 5)]:
        _, alone = push(params, only(delta, layer), images)
        expected = jnp.sum(along * alone, -1)
        np.testing.assert_allclose(found[layer], expected, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_the_faster_way_of_a_convolution():
    """Winograd's, which only float32 takes, stays one point, or is the plain one."""
    rng = np.random.default_rng(5)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    params = {"kernel": draw(3, 3, 128, 128), "fc": draw(128, 4)}
    images, delta = draw(2, 14, 14, 128), jax.tree.map(jnp.sin, params)

    def apply_fn(p, x):
        return jnp.tanh(convolve(x, p["kernel"], 1, 1)).mean((1, 2)) @ p["fc"]

    assert "winograd" in str(jax.make_jaxpr(apply_fn)(params, images))
    whole, expected = pushed(apply_fn, params, delta, images)
    found = compiled(apply_fn)(params, delta, images)
    filters = compiled(apply_fn, by_filter=True)(params, delta, images)
    for name, alone in expected.items():
        gap = 1e-5 * np.asarray(whole).max()
        np.testing.assert_allclose(found[name], alone, rtol=0, atol=gap)
        np.testing.assert_allclose(filters[name].sum(1), alone, rtol=0, atol=gap)
    assert filters["kernel"].shape == (2, 128)
