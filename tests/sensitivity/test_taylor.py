"""Taylor coefficients against nested forward mode, differences and closed forms."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from toy import plain_networks

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.convolutions.convolution import convolve, direct
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import bodies
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    displacement,
    embed,
    embedding_jvp,
    expand,
    partial_sums,
    predicted_error,
    taylor,
)

# Doubles run once, so that compiling would take longer than running.
quick_jit = partial(jit_at_level(0), static_argnums=(0, 4))


def nested(apply_fn, params, delta, images, order):
    """Differentiate the embedding again and again by JAX's own forward mode."""

    def ahead(function):
        return lambda p: jax.jvp(function, (p,), (delta,))[1]

    function, found = lambda p: embed(apply_fn, p, images), []
    for k in range(1, order + 1):
        function = ahead(function)
        found.append(function(params) / math.factorial(k))
    return jnp.stack(found)


def direction(params):
    return jax.tree.map(lambda w: 0.3 * jnp.sin(1 + 7 * w), params)


@pytest.fixture(scope="module")
def smooth():
    apply_fn, _, _, params, images = plain_networks()
    return apply_fn, params, direction(params), images


@pytest.fixture(scope="module")
def six(smooth):
    """Give all six coefficients of the smooth network."""
    return jax.jit(partial(taylor, smooth[0], order=6))(*smooth[1:])


def test_equals_nested_forward_mode(toy):
    apply_fn, params, images = toy
    delta = direction(params)
    args = apply_fn, params, delta, images, 3
    ours, theirs = (quick_jit(f)(*args) for f in (taylor, nested))
    size = np.abs(theirs).max(axis=(1, 2), keepdims=True)
    assert np.abs((ours - theirs) / size).max() < 1e-13
    _, jvp = embedding_jvp(apply_fn, params, delta, images)
    assert np.abs(ours[0] - jvp).max() < 1e-14


@pytest.mark.slow
def test_equals_differences(smooth, six):
    """A polynomial through 25 values of z along t has the same coefficients."""
    apply_fn, params, delta, images = smooth
    t = np.cos(np.pi * (np.arange(25) + 0.5) / 25) / 2

    def moved(t):
        return jax.tree.map(lambda w, d: w + t * d, params, delta)

    at = jax.jit(lambda t: embed(apply_fn, moved(t), images))
    values = np.stack([at(each).ravel() for each in t])
    series = np.polynomial.chebyshev.chebfit(2 * t, values, 24)
    powers = [np.polynomial.chebyshev.cheb2poly(each)[1:7] for each in series.T]
    found = six.reshape(6, -1)
    for k in range(1, 7):
        expected = [each[k - 1] * 2**k for each in powers]
        error = np.abs(found[k - 1] - np.array(expected)).max()
        assert error < 1e-14 * 20**k, k


def test_length_of_the_embedding_stays_one(smooth, six):
    """‖z(t)‖² = 1 at every order: 2 z·c_k + Σ c_i·c_{k-i} = 0."""
    apply_fn, params, _, images = smooth
    z = [embed(apply_fn, params, images), *six]
    for k in range(1, 7):
        terms = [np.sum(z[i] * z[k - i], axis=-1) for i in range(k + 1)]
        assert np.abs(sum(terms)).max() < 1e-14
        assert np.abs(terms[0]).max() > 1e-5 or k == 1


@pytest.mark.slow
def test_homogeneous_in_delta(smooth):
    apply_fn, params, delta, images = smooth
    twice = jax.tree.map(lambda d: 2 * d, delta)
    powers = 2.0 ** np.arange(1, 5)[:, None, None]
    one, two = (taylor(apply_fn, params, d, images, 4) for d in (delta, twice))
    assert np.abs(two - powers * one).max() < 1e-13


def many_operations(p, images):
    """Use loops, branches, rules of derivatives, squares, and weights in odd places."""
    x = images.reshape(len(images), -1) @ (p["in"] / jnp.linalg.norm(p["in"]))
    x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, p["loop"])
    x = x + jax.nn.relu(x * 0) + jax.nn.gelu(x) * jax.nn.silu(x)
    x = jax.lax.cond(p["in"].sum() < 1e9, lambda x: x * x, lambda x: x, x) + x**3
    x = jax.nn.softmax(x) @ p["loop"][1] + jnp.maximum(x, p["in"][:1])
    rows = jnp.take(p["in"], jnp.array([0, 2, 2, 1, 5]), axis=0)
    x = jnp.concatenate([jnp.where(x > 0, x, p["slope"] * x), x / rows], axis=-1)
    x = x @ p["out"].T @ jnp.square(p["out"]) * jnp.exp(p["slope"][:, :1])
    return jnp.sort(x[:, :4], axis=-1) + jax.lax.stop_gradient(x[:, 4:]) - x.mean()


@pytest.mark.slow
def test_any_operation():
    rng = np.random.default_rng(3)
    shapes = {"in": (12, 4), "loop": (3, 4, 4), "slope": (1, 4), "out": (9, 8)}
    params = {k: jnp.asarray(rng.uniform(0.3, 1, s)) for k, s in shapes.items()}
    images = jnp.asarray(rng.uniform(-1, 1, (5, 2, 2, 3)))
    args = many_operations, params, direction(params), images
    ours, theirs = (quick_jit(f)(*args, 3) for f in (taylor, nested))
    assert np.isfinite(theirs).all()
    assert np.abs(ours - theirs).max() < 1e-12 * np.abs(theirs).max()


def convolutional(p, images):
    x = jnp.tanh(direct(images, p["a"]))
    return jnp.mean(direct(x, p["b"]), axis=(1, 2))


def count(jaxpr, name):
    here = sum(e.primitive.name == name for e in jaxpr.eqns)
    return here + sum(count(b, name) for e in jaxpr.eqns for b in bodies(e))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_work_of_each_order(order):
    """Three convolutions for two orders, and the dense pass outside of the loop."""
    rng = np.random.default_rng(0)
    params = {k: rng.standard_normal((3, 3, 3, 3)) for k in "ab"}
    deltas = {k: rng.standard_normal((4, 3, 3, 3, 3)) for k in "ab"}
    images = rng.standard_normal((2, 6, 6, 3))

    def along_all(params, deltas, images):
        push = expand(convolutional, params, images, order).push
        return jax.lax.map(push, deltas)

    program = jax.make_jaxpr(along_all)(params, deltas, images).jaxpr
    (loop,) = [e for e in program.eqns if e.primitive.name == "scan"]
    inside = count(bodies(loop)[0], "conv_general_dilated")
    # Of the first layer, whose input stays, only images ∗ δ.
    assert inside == 1 + {1: 2, 2: 3, 3: 5}[order]
    assert count(program, "conv_general_dilated") == inside + 2


@pytest.mark.slow
def test_many_directions(smooth):
    apply_fn, params, delta, images = smooth
    deltas = jax.tree.map(lambda d: jnp.stack([d, -d, 0.5 * d]), delta)
    expansion = expand(apply_fn, params, images, 3)
    assert np.abs(expansion.embedding - embed(apply_fn, params, images)).max() < 1e-15
    raw = np.linalg.norm(apply_fn(params, images), axis=-1)
    assert np.abs(expansion.norm - raw).max() < 1e-14
    batched = jax.vmap(expansion.push)(deltas)
    looped = jax.lax.map(expansion.push, deltas)
    assert np.abs(batched - looped).max() < 1e-14
    assert np.abs(looped[0] - taylor(*smooth, order=3)).max() < 1e-14


@pytest.mark.slow
def test_products_in_another_basis():
    """Winograd's convolutions, in float32, against plain ones in float64."""
    rng = np.random.default_rng(0)
    shape = (3, 3, 128, 128)
    params = {k: (rng.standard_normal(shape) / 34).astype("f4") for k in "ab"}
    images = rng.standard_normal((1, 14, 14, 128)).astype("f4")
    delta = jax.tree.map(lambda w: np.float32(0.3) * np.sin(9 * w), params)

    def network(layer):
        def apply_fn(p, x):
            x = jnp.tanh(layer(x, p["a"], 1, 1))
            return jnp.mean(layer(x, p["b"], 1, 1), axis=(1, 2))

        return apply_fn

    ours = jax.jit(lambda p, d: taylor(network(convolve), p, d, images, 2))
    p, d = (jax.tree.map(lambda w: w.astype("f8"), tree) for tree in (params, delta))
    theirs = np.asarray(nested(network(direct), p, d, images.astype("f8"), 2))
    found = np.asarray(ours(params, delta))
    assert found.dtype == np.float32
    size = np.abs(theirs).max(axis=(1, 2), keepdims=True)
    assert np.abs((found - theirs) / size).max() < 1e-5


def test_weights_that_the_network_does_not_use(smooth):
    apply_fn, params, _, images = smooth
    still = {**jax.tree.map(jnp.zeros_like, params), "more": jnp.ones(3)}
    found = taylor(apply_fn, {**params, "more": jnp.ones(3)}, still, images)
    assert found.shape == (3, 5, 6)
    assert not found.any()
    assert not taylor(lambda p, x: x[:, 0, 0], params, params, images).any()


def test_partial_sums(smooth):
    apply_fn, params, delta, images = smooth
    delta = jax.tree.map(lambda d: 0.1 * d, delta)
    moved = displacement(apply_fn, params, delta, images)
    coefficients = taylor(apply_fn, params, delta, images, 3)
    sums = partial_sums(coefficients, moved)
    total = np.zeros_like(moved)
    for k in range(3):
        total += coefficients[k]
        assert np.allclose(sums.norm[k], np.linalg.norm(total, axis=-1), atol=1e-15)
        left = np.linalg.norm(moved - total, axis=-1)
        assert np.allclose(sums.residual[k], left, rtol=1e-9)
    assert (sums.residual[1:] < sums.residual[:-1] / 3).all()
    both = partial_sums(jnp.stack([coefficients] * 2), jnp.stack([moved] * 2))
    assert np.array_equal(both.residual[1], sums.residual)
    ratio = np.linalg.norm(coefficients[1], axis=-1) / sums.norm[0]
    assert np.allclose(predicted_error(coefficients), ratio, rtol=1e-12)
    relative = sums.residual[0] / np.linalg.norm(moved, axis=-1)
    assert np.allclose(ratio, relative, rtol=0.2)


@pytest.mark.parametrize("order", [0, 7, -1])
def test_orders_out_of_range(smooth, order):
    with pytest.raises(InputError, match=rf"order {order}: .* from 1 to 6"):
        taylor(*smooth, order=order)


def test_what_does_not_fit(smooth):
    apply_fn, params, delta, images = smooth
    with pytest.raises(InputError, match="structure"):
        taylor(apply_fn, params, {"first": delta["first"]}, images)
    with pytest.raises(InputError, match="order 2"):
        predicted_error(taylor(*smooth, order=1))


@pytest.mark.slow
@pytest.mark.weights
def test_real_network(shared):
    """SFace in float32: rounding at a PReLU's kink aside, JAX's own forward mode."""
    path = shared("weights/face_recognition_sface_2021dec_int8bq.onnx")
    backbone = load_backbone("sface", path)
    params, apply_fn = backbone.params, backbone.apply_fn
    images = backbone.preprocess(
        np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    )
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))
    ours = jax.jit(lambda p, d: taylor(apply_fn, p, d, images, 3))(params, delta)
    theirs = jax.jit(lambda p, d: nested(apply_fn, p, d, images, 3))(params, delta)
    size = np.linalg.norm(theirs, axis=-1)
    assert (np.linalg.norm(ours - theirs, axis=-1) < 1e-4 * size).all()
