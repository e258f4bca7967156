"""Gradients of the first-order drift by the image, against central differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from toy import toy_network

from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import first_order, pixel_gradient, pixel_map

quick_jit = jit_at_level(0)


@pytest.fixture(scope="module")
def pruned():
    apply_fn, params, images = toy_network()
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))
    return apply_fn, params, delta, images


@pytest.fixture(scope="module")
def gradient_of(pruned):
    """Give ``(params, delta, images) -> gradient`` of the toy, compiled once."""
    return quick_jit(partial(pixel_gradient, pruned[0]))


@pytest.mark.slow
def test_central_differences(pruned, gradient_of):
    apply_fn, params, delta, images = pruned
    gradient = gradient_of(params, delta, images)
    measure = quick_jit(partial(first_order, apply_fn))
    assert gradient.shape == images.shape
    rng = np.random.default_rng(2)
    step = 1e-6
    # Towards single pixels, and all pixels at once.
    directions = [np.zeros(images.shape) for _ in range(6)]
    for direction in directions:
        direction[:, *rng.integers((8, 8, 3))] = 1
    for direction in (*directions, rng.normal(size=images.shape)):
        ahead, behind = (
            measure(params, delta, images + sign * step * direction) for sign in (1, -1)
        )
        expected = (ahead - behind) / (2 * step)
        found = jnp.sum(gradient * direction, (1, 2, 3))
        assert np.abs(expected).max() > 1e-4
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_images_do_not_mix(pruned, gradient_of):
    _, params, delta, images = pruned
    whole = gradient_of(params, delta, images)
    alone = gradient_of(params, delta, images[1:2])
    np.testing.assert_allclose(whole[1:2], alone, rtol=0, atol=1e-14)


def test_no_gradient_where_nothing_moves(pruned, gradient_of):
    _, params, delta, images = pruned
    still = jax.tree.map(jnp.zeros_like, delta)
    assert np.isnan(gradient_of(params, still, images)).all()


def test_maps(pruned, gradient_of):
    _, params, delta, images = pruned
    gradient = gradient_of(params, delta, images)
    np.testing.assert_array_equal(pixel_map(gradient), np.abs(gradient).max(-1))
    np.testing.assert_allclose(
        pixel_map(gradient, images),
        np.einsum("bhwc,bhwc->bhw", gradient, images),
        rtol=0,
        atol=1e-15,
    )


@pytest.mark.slow
def test_a_form_without_forward_mode(pruned):
    """Forward over reverse, which such a form allows, is reverse over forward."""
    apply_fn, params, delta, images = pruned

    @jax.custom_vjp
    def only_in_reverse(x):
        return jnp.sin(x)

    only_in_reverse.defvjp(
        lambda x: (jnp.sin(x), x), lambda x, bar: (jnp.cos(x) * bar,)
    )

    def plain(p, x):
        return apply_fn(p, jnp.sin(x))

    def reverse(p, x):
        return apply_fn(p, only_in_reverse(x))

    expected, found = (
        quick_jit(partial(pixel_gradient, plain, **form))(params, delta, images)
        for form in ({}, {"reverse_fn": reverse})
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
