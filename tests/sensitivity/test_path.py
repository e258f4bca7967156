"""The path's integral against the displacement that two forward passes give."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from real import real_network
from toy import plain_networks, toy_network

from prefiqs_jax.backbones.networks import vit
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    displacement,
    embed,
    path_displacement,
    path_integral,
)

# Of which a thousandth of δ is the path: so that some activations' inputs change sign,
# for each of which the path is halved again and again.
SPARSITIES = {"sface": 0.2, "onnx": 0.2, "arcface_iresnet18": 0.2, "arcface_vit_t": 0.3}


def direction(params, size=0.5):
    return jax.tree.map(lambda w: size * jnp.sin(1 + 7 * w), params)


def moved(params, delta, t):
    return jax.tree.map(lambda w, d: w + t * d, params, delta)


def test_smooth_network():
    smooth, _, _, params, images = plain_networks()
    delta = direction(params)
    along = path_integral(smooth, params, delta, images)
    exact = displacement(smooth, params, delta, images)
    assert np.linalg.norm(exact, axis=-1).min() > 0.01
    assert np.linalg.norm(along.displacement - exact, axis=-1).max() < 1e-8
    short = path_displacement(smooth, params, delta, images)
    assert np.array_equal(short, along.displacement)
    # The smooth integrand takes no more than a few panels of 8 nodes.
    assert along.panels <= 4


def test_network_with_kinks():
    _, kinked, hidden, params, images = plain_networks()
    delta = direction(params)
    before, after = (hidden(moved(params, delta, t), images) > 0 for t in (0, 1))
    flips = np.sum(before != after, axis=1)
    assert flips.max() > 2
    along = path_integral(kinked, params, delta, images)
    exact = displacement(kinked, params, delta, images)
    error = np.linalg.norm(along.displacement - exact, axis=-1)
    assert error.max() < 1e-8
    assert (error <= along.error + 1e-14).all()
    assert along.error.max() <= 1e-8
    assert along.panels > 10 * flips.sum()  # it closed in on every one


@pytest.mark.parametrize("network", plain_networks()[:2])
def test_length_against_a_polygon(network):
    _, _, hidden, params, images = plain_networks()
    delta = direction(params)
    along = path_integral(network, params, delta, images, 1e-7)

    def at(t):
        return embed(network, moved(params, delta, t), images)

    # Hidden inputs are linear in t: the corners of the path are known.
    before, after = (hidden(moved(params, delta, t), images) for t in (0, 1))
    corners = np.ravel(before / (before - after))
    corners = corners[(corners > 0) & (corners < 1)]
    z = jax.vmap(at)(np.sort(np.concatenate([np.linspace(0, 1, 20001), corners])))
    polygon = np.linalg.norm(np.diff(z, axis=0), axis=-1).sum(axis=0)
    assert np.abs(along.length - polygon).max() < 1e-6
    chord = np.linalg.norm(along.displacement, axis=-1)
    assert (along.length > chord * 1.001).all()


def test_network_with_every_kind_of_layer(toy):
    apply_fn, params, images = toy
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))
    found = path_displacement(apply_fn, params, delta, images, 1e-5)
    exact = displacement(apply_fn, params, delta, images)
    assert np.linalg.norm(found - exact, axis=-1).max() < 1e-5


@pytest.mark.slow
def test_single_precision():
    apply_fn, params, images = toy_network(np.float32)
    delta = jax.tree.map(lambda w: np.float32(0.01) * jnp.sin(9 * w), params)
    found = path_displacement(apply_fn, params, delta, images, 1e-5)
    assert found.dtype == np.float32
    exact = displacement(apply_fn, params, delta, images)
    assert np.linalg.norm(found - exact, axis=-1).max() < 1e-5
    with pytest.raises(InputError, match=r"is \d\.\de-0[567], with .* float32; take f"):
        path_displacement(apply_fn, params, delta, images, 1e-9)


def test_no_panels_left():
    _, kinked, _, params, images = plain_networks()
    match = r"tolerance 1e-08 not reached: .* with 1\d panels in float64; take a larger"
    with pytest.raises(InputError, match=match):
        path_integral(kinked, params, direction(params), images, largest_panels=20)


def test_what_is_not_finite():
    smooth, _, _, params, images = plain_networks()
    delta = direction(params)
    bad = images.at[3].set(jnp.nan)
    with pytest.raises(InputError, match="at t = 0 is not finite for image 3"):
        path_integral(smooth, params, delta, bad)
    gone = jax.tree.map(lambda w: -w, params)
    with pytest.raises(InputError, match=r"embedding at t = 1 .* image 0 \(and 4 more"):
        path_integral(lambda p, x: x[:, 0, 0] @ p["first"][:3], params, gone, images)

    def root(p, x):
        return jnp.sqrt(jnp.maximum(x[:, 0, 0] @ p, 0.0)) + 1.0

    # √0 is a number and its derivative is none.
    zero = jnp.zeros((3, 2))
    with pytest.raises(InputError, match="Jacobian-vector product between"):
        path_integral(root, zero, zero, images)


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", SPARSITIES)
def test_real_networks(name, shared, golden_weights, tmp_path):
    apply_fn, params, delta, images = real_network(
        name, shared, golden_weights, tmp_path, SPARSITIES[name], count=1
    )
    delta = jax.tree.map(lambda d: 1e-3 * d, delta)
    along = path_integral(apply_fn, params, delta, images, 1e-9)
    exact = jax.jit(partial(displacement, apply_fn))(params, delta, images)
    assert np.linalg.norm(exact, axis=-1).min() > 1e-6
    assert np.linalg.norm(along.displacement - exact, axis=-1).max() < 1e-9
    assert along.panels > 8  # there were kinks to close in on


@pytest.mark.slow
@pytest.mark.weights
def test_transformer(shared, golden_weights, tmp_path, monkeypatch):
    """ViT-T along the whole of δ, but for its ReLU6, which has kinks."""
    monkeypatch.setattr(vit, "relu6", jax.nn.gelu)
    apply_fn, params, delta, images = real_network(
        "arcface_vit_t", shared, golden_weights, tmp_path, count=1
    )
    along = path_integral(apply_fn, params, delta, images)
    exact = jax.jit(partial(displacement, apply_fn))(params, delta, images)
    assert np.linalg.norm(exact, axis=-1).min() > 0.1
    assert np.linalg.norm(along.displacement - exact, axis=-1).max() < 1e-8
    assert along.panels <= 16


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan])
def test_tolerances_that_are_none(tolerance):
    smooth, _, _, params, images = plain_networks()
    with pytest.raises(InputError, match="positive"):
        path_displacement(smooth, params, params, images, tolerance)


def test_what_does_not_fit():
    smooth, _, _, params, images = plain_networks()
    with pytest.raises(InputError, match="structure"):
        path_displacement(smooth, params, {}, images)
