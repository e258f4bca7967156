"""Reverse mode in a loop is the same with kernels transposed beforehand, no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.execution.jaxprs import bodies
from prefiqs_jax.execution.kernels import with_plain_kernels

AXES = ("NHWC", "HWIO", "NHWC")


def product(x, kernel, **settings):
    given = {"window_strides": (1, 1), "padding": "SAME"} | settings
    return jax.lax.conv_general_dilated(x, kernel, dimension_numbers=AXES, **given)


def kernel_axes(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation.params["dimension_numbers"].rhs_spec
        for body in bodies(equation):
            yield from kernel_axes(body)


@pytest.mark.parametrize(
    ("groups", "settings"),
    [
        (1, {}),
        (1, {"window_strides": (2, 2)}),
        (1, {"rhs_dilation": (2, 2), "padding": "VALID"}),
        (2, {"feature_group_count": 2}),
        (4, {"feature_group_count": 4, "window_strides": (2, 1)}),
    ],
)
def test_gradients_are_the_same(groups, settings):
    one, two, three = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(one, (2, 7, 6, 4))
    kernel = jax.random.normal(two, (3, 3, 4 // groups, 8))
    y, pull = jax.vjp(lambda x: jax.nn.relu(product(x, kernel, **settings)), x)
    bars = jax.random.normal(three, (3, *y.shape))
    own = with_plain_kernels(lambda bar: {"x": pull(bar)[0]})
    found = jax.jit(lambda bars: jax.lax.map(own, bars))(bars)["x"]
    expected = jnp.stack([pull(bar)[0] for bar in bars])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    before, after = (
        list(kernel_axes(jax.make_jaxpr(function)(bars[0]).jaxpr))
        for function in (pull, own)
    )
    assert (3, 2, 0, 1) not in before  # spatial axes, inputs, outputs
    assert after == [(3, 2, 0, 1)]


def test_what_is_in_a_call_is_found_and_a_checkpoint_is_left():
    kernel = jnp.ones((1, 1, 2, 2))
    x = jnp.ones((1, 1, 1, 2))

    def gradient(wrap):
        return jax.grad(lambda x: jnp.sum(wrap(lambda x: product(x, kernel))(x) ** 2))

    def reversed_kernels(wrap):
        program = jax.make_jaxpr(with_plain_kernels(gradient(wrap)))(x)
        return [axes for axes in kernel_axes(program.jaxpr) if axes != (3, 2, 0, 1)]

    assert reversed_kernels(jax.jit) == []
    assert len(reversed_kernels(jax.checkpoint)) == 1
    plain = gradient(jax.jit)(x)
    np.testing.assert_array_equal(with_plain_kernels(gradient(jax.jit))(x), plain)
