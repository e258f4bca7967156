"""Depthwise convolutions: derivatives, and what a linearised one keeps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.backbones.convolutions.convolution import direct
from prefiqs_jax.backbones.convolutions.depthwise import (
    shifted_depthwise,
    shifted_groups,
)

SHAPES = [  # x, kernel, stride, padding
    ((2, 7, 8, 5), (3, 3, 1, 5), 1, 1),
    ((2, 8, 7, 3), (3, 3, 1, 3), 2, 1),
    ((2, 6, 5, 4), (5, 5, 1, 4), 1, 0),
    ((2, 7, 6, 6), (3, 3, 2, 6), 2, 1),
]


def draw(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]


def relative(ours, expected):
    assert ours.shape == expected.shape
    return np.abs(ours - expected).max() / np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "kernel_shape", "stride", "padding"), SHAPES)
def test_derivatives_are_those_of_the_grouped_convolution(
    shape, kernel_shape, stride, padding
):
    x, kernel, dx, dkernel = draw(shape, kernel_shape, shape, kernel_shape)
    shifted = shifted_depthwise if kernel_shape[2] == 1 else shifted_groups

    def ours(x, kernel):
        return shifted(x, kernel, stride, padding)

    def expected(x, kernel):
        return direct(x, kernel, stride, padding)

    @jax.jit
    def derive(x, kernel, dx, dkernel):
        value, tangent = jax.jvp(expected, (x, kernel), (dx, dkernel))
        both = jax.jvp(ours, (x, kernel), (dx, dkernel))
        linearised = jax.linearize(ours, x, kernel)[1]
        pushed = jax.vmap(linearised)(
            jnp.stack([dx, -dx]), jnp.stack([dkernel, -dkernel])
        )
        pulled = [jax.vjp(f, x, kernel)[1](value) for f in (ours, expected)]
        return (value, tangent), both, pushed, pulled

    (value, tangent), both, pushed, pulled = derive(x, kernel, dx, dkernel)
    assert relative(both[0], value) < 1e-13
    assert relative(both[1], tangent) < 1e-13
    assert relative(pushed[0], tangent) < 1e-13
    assert np.array_equal(pushed[1], -pushed[0])
    for mine, theirs in zip(*pulled, strict=True):
        assert relative(mine, theirs) < 1e-13


def test_a_linearised_one_keeps_its_input_once():
    """Nine shifted copies would be read by every direction of a sweep."""
    x, kernel, directions = draw((2, 9, 9, 4), (3, 3, 1, 4), (6, 3, 3, 1, 4))

    def push_all(x, kernel, directions):
        push = jax.linearize(lambda k: shifted_depthwise(x, k, 1, 1), kernel)[1]
        return jax.lax.map(push, directions)

    program = jax.make_jaxpr(push_all)(x, kernel, directions)
    (loop,) = (e for e in program.eqns if e.primitive.name == "scan")
    read = sum(math.prod(operand.aval.shape) for operand in loop.invars)
    assert read <= x.size + kernel.size + directions.size
