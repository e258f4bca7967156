"""Remainders fall as the theory says; slopes and limits against closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from real import real_network
from toy import plain_networks

from prefiqs_jax.backbones.networks import vit
from prefiqs_jax.errors import InputError
from prefiqs_jax.sensitivity import (
    displacement,
    displacements_along,
    frozen,
    largest_valid,
    local_slopes,
    norms,
    remainders,
    taylor,
    taylor_sums,
)

# From where the next order no longer matters to where rounding does, by order.
SCALES = {
    1: 2.0 ** -np.arange(8, 14),
    2: 2.0 ** -np.arange(6, 11),
    3: 2.0 ** -np.arange(5, 9),
}

quick_jit = jit_at_level(1)


def direction(params, size=0.3):
    return jax.tree.map(lambda w: size * jnp.sin(1 + 7 * w), params)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_slope_on_a_smooth_network(order):
    smooth, _, _, params, images = plain_networks()
    t = SCALES[order]
    left = remainders(smooth, params, direction(params), images, t, order)
    slopes = local_slopes(t, left)
    assert np.abs(slopes.fitted - (order + 1)).max() < 0.02
    assert (slopes.high - slopes.low).max() < 0.04


@pytest.mark.parametrize("order", [1, 2, 3])
def test_slope_on_a_segment_without_kinks(order):
    _, kinked, hidden, params, images = plain_networks()
    t = SCALES[order]
    delta = direction(params, 0.05)

    def signs(s):
        weights = jax.tree.map(lambda w, d: w + s * d, params, delta)
        return np.asarray(hidden(weights, images)) > 0

    dense = signs(0.0)
    assert dense.any()
    assert not dense.all()
    # The hidden inputs are linear in t: what is equal at both ends is so between them.
    assert np.array_equal(dense, signs(t.max()))
    slopes = local_slopes(t, remainders(kinked, params, delta, images, t, order))
    assert np.abs(slopes.fitted - (order + 1)).max() < 0.02


@pytest.mark.slow
@pytest.mark.weights
def test_slope_on_a_transformer(shared, golden_weights, tmp_path, monkeypatch):
    """ViT-T, but for its ReLU6, which has kinks."""
    monkeypatch.setattr(vit, "relu6", jax.nn.gelu)
    network = real_network("arcface_vit_t", shared, golden_weights, tmp_path)
    # δ is that of sparsity 0.3: rounding of z, 1e-15, is far below at every scale.
    t = 2.0 ** -np.arange(7, 10)
    c = quick_jit(partial(taylor, network[0]))(*network[1:])
    moved = quick_jit(partial(displacements_along, network[0]))(*network[1:], t)
    for order in (1, 2, 3):
        left = norms(moved - taylor_sums(c[:order], t))
        slopes = local_slopes(t, left)
        assert np.abs(slopes.local[0] - (order + 1)).max() < 0.02


def test_slope_across_a_kink_is_smaller():
    """One image of a network whose only input changes sign at t = 0.01."""

    def apply_fn(p, images):
        x = images[:, 0] * p
        return jnp.stack([jnp.maximum(x, 0.0), jnp.ones_like(x)], axis=-1)

    t = np.array([0.1, 0.3, 1.0])
    weight, delta = jnp.array([0.01]), jnp.array([-1.0])
    left = remainders(apply_fn, weight, delta, jnp.ones((1, 1)), t)
    # Beyond the kink z stays, and what is left is t ‖c₁‖ less a constant.
    assert np.all(local_slopes(t, left).local < 1.2)


@pytest.mark.slow
@pytest.mark.parametrize(("aligned", "slope"), [(False, 1.5), (True, 2.0)])
def test_slope_of_many_kinks(aligned, slope):
    """Kinks met at a constant rate: √(∫(t - s)² ds) or ∫(t - s) ds, by their effects.

    f = e₀ + Σ relu(a_i + t ȧ_i) v_i is linear between kinks, so that nothing else is
    left but what normalisation bends.
    """
    rng = np.random.default_rng(0)
    units = 20_000
    effects = np.full((units, 32), 1.0) if aligned else rng.normal(size=(units, 32))
    effects[:, 0] = 0  # across e₀
    start = jnp.asarray(rng.uniform(-2, 2, units))
    moving = jnp.asarray(rng.normal(size=units))
    size = 1e-9  # of what all units add: z turns by so little that it is linear

    def apply_fn(p, images):
        hidden = jax.nn.relu(images * p[None])
        return jnp.eye(1, 32) + size * (hidden @ effects)

    t = 2.0 ** -np.arange(6)
    one = jnp.ones((1, 1))
    for order in (1, 2, 3):
        left = remainders(apply_fn, start, moving, one, t, order)
        assert np.abs(local_slopes(t, left).fitted - slope).max() < 0.05


@pytest.mark.slow
@pytest.mark.weights
def test_slopes_on_a_network_with_kinks(shared, golden_weights, tmp_path):
    """SFace: k + 1 with its kinks frozen, 3/2 at every order with them."""
    apply_fn, params, delta, images = real_network(
        "sface", shared, golden_weights, tmp_path
    )
    t = 2.0 ** -np.arange(7)

    @jax.jit
    def measure(params, delta):
        fixed = frozen(apply_fn, params, images)
        dense = fixed(params)

        def on_sides(t):
            return fixed(jax.tree.map(lambda w, d: w + t * d, params, delta)) - dense

        moved = displacements_along(apply_fn, params, delta, images, t)
        c = taylor(apply_fn, params, delta, images, 3)
        return c, moved, jax.lax.map(on_sides, jnp.asarray(t))

    c, moved, smooth = measure(params, delta)
    for order in (1, 2, 3):
        sums = taylor_sums(c[:order], t)
        curved = local_slopes(t[3:], norms(smooth - sums)[3:]).fitted
        assert np.abs(curved - (order + 1)).max() < 0.02
        kinked = local_slopes(t, norms(moved - sums)).fitted
        assert np.abs(kinked - 1.5).max() < 0.15


@pytest.mark.slow
def test_remainders_are_what_they_say():
    smooth, _, _, params, images = plain_networks()
    delta, t = direction(params), np.array([0.5, 1.0, 0.25])
    moved = displacements_along(smooth, params, delta, images, t)
    c = taylor(smooth, params, delta, images, 2)
    left = jax.jit(lambda p, d: remainders(smooth, p, d, images, t, 2))(params, delta)
    displaced = jax.jit(lambda d: displacement(smooth, params, d, images))
    for s, along, rest in zip(t, moved, left, strict=True):
        scaled = jax.tree.map(lambda d, s=s: s * d, delta)
        alone = displaced(scaled)
        assert np.abs(along - alone).max() < 1e-15
        expected = np.linalg.norm(alone - (s * c[0] + s**2 * c[1]), axis=-1)
        assert np.abs(rest - expected).max() < 1e-15
    assert np.abs(norms(moved - taylor_sums(c, t)) - left).max() < 1e-15


def test_fit_and_its_interval():
    rng = np.random.default_rng(0)
    t = np.array([0.01, 0.1, 0.03, 1.0, 0.3])
    left = t[:, None] ** 1.5 * np.exp(rng.standard_normal((5, 3)) / 5)
    slopes = local_slopes(t, left)
    order = np.argsort(t)
    steps = np.diff(np.log(left[order]), axis=0) / np.diff(np.log(t[order]))[:, None]
    assert np.allclose(slopes.local, steps, rtol=1e-12)
    for image in range(3):
        line, cov = np.polyfit(np.log(t), np.log(left[:, image]), 1, cov=True)
        assert slopes.fitted[image] == pytest.approx(line[0], rel=1e-12)
        # Student's t at 0.975 with 3 degrees of freedom, from a table.
        half = (slopes.high[image] - slopes.low[image]) / 2
        assert half == pytest.approx(3.182446 * np.sqrt(cov[0, 0]), rel=1e-6)


def test_remainders_without_a_logarithm():
    t = np.array([1.0, 2.0, 4.0, 8.0])
    left = np.stack([t**2, t**2, t**2, t**2, t * 0], axis=-1)
    left[0, 1], left[3, 1] = 0, np.nan
    left[1, 2] = np.inf
    left[1:, 3] = 0
    slopes = local_slopes(t, left)
    assert np.allclose(slopes.fitted[:3], 2, rtol=1e-12)
    assert np.isnan(slopes.fitted[3:]).all()
    assert np.allclose(slopes.low[[0, 2]], 2, rtol=1e-12)
    assert np.isnan(slopes.low[[1, 3, 4]]).all()
    assert np.array_equal(np.isnan(slopes.local[:, 1]), [True, False, True])


def test_largest_valid():
    t = np.array([1.0, 0.01, 0.1])  # in any order
    power, factor = np.array([1.0, 2.0, 0.5]), np.array([1.0, 3.0, 0.3])
    errors = factor * t[:, None] ** power
    expected = (0.2 / factor) ** (1 / power)  # where factor · t^power is 0.2
    assert np.allclose(largest_valid(t, errors, 0.2), expected, rtol=1e-12)
    nan, inf = np.nan, np.inf
    errors = np.array(
        [  # at 0.01, 0.1 and 1
            [0.1, 0.1, 0.1],  # never above
            [0.3, 0.1, 0.1],  # above at the smallest
            [0.1, 0.2, 0.3],  # the tolerance itself is within it
            [0.1, nan, 0.1],
            [0.1, inf, 0.1],
            [0.0, 0.3, 0.1],
            [nan, 0.1, 0.1],
            [0.1, 0.4, 0.1],  # and back again
        ]
    ).T
    found = largest_valid([0.01, 0.1, 1], errors, 0.2)
    assert np.allclose(found, [1, 0, 0.1, 0.01, 0.01, 0.01, 0, 0.01 * 10**0.5])


@pytest.mark.parametrize("t", [[0.0, 1.0], [1.0, 1.0], [1.0, np.nan], [-1.0, 1.0]])
def test_scales_that_have_no_place_on_the_axis(t):
    for function in (local_slopes, partial(largest_valid, tolerance=0.1)):
        with pytest.raises(InputError, match=r"scales .* positive, finite"):
            function(t, np.ones((2, 1)))


def test_what_does_not_fit():
    with pytest.raises(InputError, match="give one scale a row"):
        local_slopes([0.1], np.ones((2, 1)))
    with pytest.raises(InputError, match="tolerance nan"):
        largest_valid([0.1], np.ones((1, 1)), np.nan)
    smooth, _, _, params, images = plain_networks()
    with pytest.raises(InputError, match="order 0"):
        remainders(smooth, params, params, images, np.ones(1), 0)
    with pytest.raises(InputError, match="structure"):
        displacements_along(smooth, params, {}, images, np.ones(1))
