"""Products in a stated precision: against rounding by hand, in every derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from toy import toy_network

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import bodies
from prefiqs_jax.execution.precision import (
    MEANING,
    PRECISIONS,
    SWEEP_PRECISIONS,
    at_precision,
)

PRODUCTS = ("dot_general", "conv_general_dilated")


@jax.custom_jvp
def soft_step(x):
    """Identity with a tangent of its own, three times the true one."""
    return x


@soft_step.defjvp
def _(primals, tangents):
    return primals[0], 3 * tangents[0]


@jax.jit
def scale_and_step(x):
    return soft_step(jax.nn.relu(x)) * jnp.float32(1.37)


def network(params, images):
    """Convolve, convolve by channel, contract: all kinds of products, and a jit."""
    x = lax.conv_general_dilated(
        images,
        params["conv"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x = scale_and_step(x)
    x = lax.conv_general_dilated(
        x,
        params["depthwise"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=4,
    )
    x = jax.nn.relu(x)
    x = jnp.einsum("bhwc,hwcd->bd", x, params["mix"])
    return inner(x, params["fc"])


@jax.jit
def inner(x, w):
    return x @ w + jnp.float32(0.123)


def rounded(x):
    return np.asarray(x, np.float32).astype(jnp.bfloat16).astype(np.float64)


def convolve(x, w, groups=1):
    """Slide a 3×3 kernel over NHWC images, in NumPy, in float64."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    if groups == 1:
        return np.einsum("bhwcij,ijco->bhwo", windows, w)
    return np.einsum("bhwcij,ijc->bhwc", windows, w[:, :, 0])


def by_hand(params, images, factor):
    """Run the network in float64 with the factors of products as `factor` has them.

    What lies between two products is rounded to float32, as in the network.
    """

    def single(x):
        return x.astype(np.float32)

    x = single(convolve(factor(images), factor(params["conv"])))
    x = single(np.maximum(x, 0) * np.float32(1.37))
    x = single(convolve(factor(x), factor(params["depthwise"]), groups=4))
    x = np.maximum(x, 0)
    x = single(np.einsum("bhwc,hwcd->bd", factor(x), factor(params["mix"])))
    return factor(x) @ factor(params["fc"]) + np.float64(np.float32(0.123))


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    params = {
        "conv": draw(3, 3, 3, 4),
        "depthwise": draw(3, 3, 1, 4),
        "mix": draw(5, 5, 4, 6),
        "fc": draw(6, 3),
    }
    return params, draw(2, 5, 5, 3)


def relative(ours, theirs):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def test_fast_rounds_the_factors_of_products_only(problem):
    params, images = problem
    fast = jax.jit(at_precision(network, "fast"))(params, images)
    assert fast.dtype == np.float32
    by_rounding = by_hand(params, images, rounded)
    exact = by_hand(params, images, lambda x: np.asarray(x, np.float64))
    # A float32 sum may fall on the other side of a rounding to bfloat16: 2⁻⁹ of one
    # factor of many.
    assert relative(fast, by_rounding) < 2e-4
    assert relative(by_rounding, exact) > 10 * relative(fast, by_rounding)
    for precision in ("high", "highest"):  # a CPU has nothing between
        found = jax.jit(at_precision(network, precision))(params, images)
        assert relative(found, exact) < 1e-6


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint])
def test_fast_rounds_within_calls(problem, wrap):
    params, images = problem
    fast = at_precision(network, "fast")(params, images)
    wrapped = at_precision(wrap(network), "fast")(params, images)
    assert relative(wrapped, fast) < 1e-6  # unrounded, it would be 1e-3 off


def test_tangents_are_rounded_like_values(problem):
    """The JVP of a product is two products of rounded factors."""

    def product(p, x):
        return x @ p

    rng = np.random.default_rng(4)
    p, dp = rng.standard_normal((2, 6, 3)).astype(np.float32)
    x = rng.standard_normal((2, 6)).astype(np.float32)
    fast = at_precision(product, "fast")
    _, tangent = jax.jvp(lambda p_: fast(p_, x), (p,), (dp,))
    assert relative(tangent, rounded(x) @ rounded(dp)) < 1e-6
    assert relative(tangent, x @ dp) > 1e-4


@pytest.mark.slow
def test_derivatives_in_every_precision(problem):
    params, images = problem
    rng = np.random.default_rng(5)
    delta = jax.tree.map(lambda w: rng.standard_normal(w.shape).astype("f4"), params)

    def tangent(function):
        along = jax.jit(
            lambda p, d: jax.jvp(lambda q: function(q, images), (p,), (d,))[1]
        )
        return along(params, delta)

    exact = tangent(network)
    for precision in ("highest", "high"):
        assert relative(tangent(at_precision(network, precision)), exact) < 1e-6
    fast = at_precision(network, "fast")
    assert 1e-4 < relative(tangent(fast), exact) < 2e-2
    _, push = jax.linearize(lambda p: fast(p, images), params)
    assert relative(push(delta), tangent(fast)) < 1e-6


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_rule_of_derivatives_stays_in_force(problem, precision):
    """``soft_step`` triples its tangent, and relu has none at zero."""
    params, images = problem
    one = jnp.float32(1)

    def slope(function, at):
        function = at_precision(function, precision)
        return jax.jvp(lambda p: function(p, one), (at,), (one,))[1]

    assert slope(lambda p, x: soft_step(x * p), one) == 3
    assert slope(lambda p, x: jax.nn.relu(p), 0 * one) == 0

    def tangent(function):
        return jax.jvp(lambda p: function(p, images), (params,), (params,))[1]

    ours = tangent(at_precision(network, precision))
    assert relative(ours, tangent(network)) < 0.05  # tripled, or it would be far off


def products(jaxpr):
    """Yield every product of a jaxpr, those of its inner jaxprs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in PRODUCTS:
            yield equation
        for body in bodies(equation):
            yield from products(body)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_product_has_the_precision(problem, precision):
    params, images = problem
    function = at_precision(network, precision)

    def tangent(p, d):
        return jax.jvp(lambda q: function(q, images), (p,), (d,))

    values = list(products(jax.make_jaxpr(function)(params, images).jaxpr))
    tangents = list(products(jax.make_jaxpr(tangent)(params, params).jaxpr))
    assert len(values) == 4
    assert len(tangents) >= 3 * 4 - 1  # the images have no tangent
    expected = lax.Precision.HIGH if precision == "high" else lax.Precision.HIGHEST
    for equation in values + tangents:
        assert equation.params["precision"] == (expected, expected)
        kinds = {str(operand.aval.dtype) for operand in equation.invars}
        assert kinds == ({"bfloat16"} if precision == "fast" else {"float32"})
        assert str(equation.outvars[0].aval.dtype) == "float32"


def test_products_of_integers_are_left_alone():
    counts = jnp.arange(300, 304, dtype=jnp.int32)  # no bfloat16 holds 301

    def whole(p, x):
        return jnp.dot(x, counts)

    def real(p, x):
        return jnp.dot(x.astype(jnp.float32), p)

    p, x = jnp.full(4, 1 + 2**-9, jnp.float32), jnp.ones(4, jnp.int32)
    found = at_precision(whole, "fast")(p, x)
    assert found == 300 + 301 + 302 + 303
    assert found.dtype == jnp.int32
    assert at_precision(real, "fast")(p, x) == 4


@pytest.mark.slow
def test_a_network_of_the_package():
    apply_fn, params, images = toy_network(np.float32)
    exact, plain, fast = (
        jax.jit(function)(params, images)
        for function in (
            at_precision(apply_fn, "highest"),
            apply_fn,
            at_precision(apply_fn, "fast"),
        )
    )
    assert relative(exact, plain) < 1e-6
    assert 1e-5 < relative(fast, exact) < 2e-2


@pytest.mark.parametrize("name", ["", "float32", "HIGHEST", "bf16"])
def test_unknown_precisions(name):
    with pytest.raises(InputError, match="unknown; choose double, highest, high, fast"):
        at_precision(network, name)


def test_each_has_its_meaning():
    assert tuple(MEANING) == SWEEP_PRECISIONS
