"""Contributions of layers against pushes of each layer's change alone, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.backbones import load_backbone
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
    norms,
    path_layer_contributions,
)
from prefiqs_jax.trees import is_prunable, map_named, named_leaves


def only(delta, name, keep=1.0):
    """Give δ on one leaf, times ``keep``; zero elsewhere."""
    return map_named(lambda n, d: d * keep if n == name else jnp.zeros_like(d), delta)


def pushed(apply_fn, params, delta, images):
    """Push each leaf's change alone: the definition, two forward passes for each."""
    lin = linearise(apply_fn, params, images)
    whole = lin.push(delta)
    along = whole / norms(whole)[:, None]
    return norms(whole), {
        name: jnp.sum(along * lin.push(only(delta, name)), -1)
        for name, _ in named_leaves(params)
    }


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
    found = jax.jit(functools.partial(layer_contributions, network[0], **options))(
        *network[1:]
    )
    assert found.keys() == expected.keys()
    for name, alone in expected.items():
        np.testing.assert_allclose(found[name], alone, rtol=0, atol=tolerance)
    np.testing.assert_allclose(sum(found.values()), whole, rtol=tolerance)
    return found


def test_each_leaf_alone_on_functions(function):
    found = check(function)
    assert all(np.abs(each).max() > 1e-4 for each in found.values())


def test_each_leaf_alone_on_the_toy(toy):
    apply_fn, params, images = toy
    check((apply_fn, params, random_like(params), images))


@pytest.fixture
def pruned(toy):
    apply_fn, params, images = toy
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))
    return apply_fn, params, delta, images
