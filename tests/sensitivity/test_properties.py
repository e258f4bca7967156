"""Properties that hold for any network, on a toy one in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from toy import toy_network

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    agreement,
    displacement,
    drift,
    embed,
    embedding_jvp,
    embedding_jvps,
    first_order,
)

quick_jit = jit_at_level(0)


@pytest.fixture
def pruned(toy):
    apply_fn, params, images = toy
    mask = globally(magnitude)(params, 0.3)
    return apply_fn, params, pruning_delta(params, mask), images


def scaled(tree, factor):
    return jax.tree.map(lambda leaf: leaf * factor, tree)


def test_central_difference(pruned):
    apply_fn, params, delta, images = pruned
    _, jvp = embedding_jvp(apply_fn, params, delta, images)
    step = 1e-6
    ahead = displacement(apply_fn, params, scaled(delta, step), images)
    behind = displacement(apply_fn, params, scaled(delta, -step), images)
    assert np.abs((ahead - behind) / (2 * step) - jvp).max() < 1e-8


def test_orthogonal_to_the_embedding(pruned):
    embedding, jvp = embedding_jvp(*pruned)
    assert np.abs(np.linalg.norm(embedding, axis=-1) - 1).max() < 1e-14
    assert np.abs(np.sum(embedding * jvp, -1)).max() < 1e-15


def test_quotient_rule(pruned):
    """ż = (ḟ - z ⟨z, ḟ⟩) / ‖f‖, from the raw embedding."""
    apply_fn, params, delta, images = pruned
    raw, moved = jax.jvp(lambda p: apply_fn(p, images), (params,), (delta,))
    z, jvp = embedding_jvp(*pruned)
    across = moved - z * jnp.sum(z * moved, -1, keepdims=True)
    size = jnp.linalg.norm(raw, axis=-1, keepdims=True)
    assert np.abs(jvp - across / size).max() < 1e-14


def test_linear_in_delta(pruned):
    apply_fn, params, delta, images = pruned
    other = jax.tree.map(jnp.cos, params)
    both = jax.tree.map(lambda d, o: 2.5 * d - 3 * o, delta, other)
    one, two, sum_ = (
        embedding_jvp(apply_fn, params, d, images)[1] for d in (delta, other, both)
    )
    assert np.abs(2.5 * one - 3 * two - sum_).max() < 1e-13


def test_taylor_remainder_has_slope_two(pruned):
    apply_fn, params, delta, images = pruned
    _, jvp = embedding_jvp(apply_fn, params, delta, images)
    # Small enough that no PReLU changes side, large enough for float64.
    steps = np.array([1e-4, 3e-5, 1e-5])
    remainders = [
        np.linalg.norm(
            displacement(apply_fn, params, scaled(delta, t), images) - t * jvp
        )
        for t in steps
    ]
    slope = np.polyfit(np.log(steps), np.log(remainders), 1)[0]
    assert slope == pytest.approx(2, abs=0.02)


def test_many_directions_at_once(pruned):
    apply_fn, params, delta, images = pruned
    directions = [delta, scaled(delta, -2.0), jax.tree.map(jnp.sin, params)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *directions)
    embedding, jvps = embedding_jvps(apply_fn, params, stacked, images)
    assert jvps.shape == (3, *embedding.shape)
    for ours, direction in zip(jvps, directions, strict=True):
        alone, jvp = embedding_jvp(apply_fn, params, direction, images)
        assert np.abs(ours - jvp).max() < 1e-14
        assert np.abs(embedding - alone).max() < 1e-15


def test_scale_of_the_network_cancels(pruned):
    apply_fn, params, delta, images = pruned

    def louder(p, x):
        return 7.0 * apply_fn(p, x)

    for function in (first_order, drift):
        one, two = (function(f, params, delta, images) for f in (apply_fn, louder))
        assert np.abs(one - two).max() < 1e-14


def test_drift_is_the_distance_of_unit_vectors(pruned):
    apply_fn, params, delta, images = pruned
    moved = jax.tree.map(jnp.add, params, delta)
    before, after = (np.asarray(apply_fn(p, images)) for p in (params, moved))
    cosine = (before * after).sum(-1) / (
        np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    )
    squared = np.asarray(drift(apply_fn, params, delta, images)) ** 2
    assert np.abs(squared - (2 - 2 * cosine)).max() < 1e-13  # D² = 2 - 2 cos


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)]
)
def test_independent_of_batch_mates(dtype, tolerance):
    apply_fn, params, images = toy_network(dtype)
    delta = pruning_delta(params, globally(magnitude)(params, 0.3))

    @quick_jit
    def measure(x):
        _, jvp = embedding_jvp(apply_fn, params, delta, x)
        return embed(apply_fn, params, x), jvp, drift(apply_fn, params, delta, x)

    whole = measure(images)
    assert all(values.dtype == dtype for values in whole)
    backwards = [values[::-1] for values in measure(images[::-1])]
    singles = [measure(images[i : i + 1]) for i in range(len(images))]
    alone = map(np.concatenate, zip(*singles, strict=True))
    for values, *others in zip(whole, backwards, alone, strict=True):
        for other in others:
            assert np.abs(other - values).max() <= tolerance


def test_zero_embedding_is_nan_not_a_number():
    embedding = embed(lambda p, x: x * p, jnp.zeros((1, 2)), jnp.ones((1, 2)))
    assert np.isnan(embedding).all()


def test_agreement(pruned):
    jvp = np.array([[3.0, 0.0], [0.0, 0.0], [1e-30, 0.0]])
    moved = np.array([[3.0, 4.0], [1.0, 0.0], [1e-30, 0.0]])
    compared = agreement(jnp.asarray(jvp), jnp.asarray(moved))
    assert np.allclose(compared.first_order, [3, 0, 1e-30], rtol=1e-12, atol=0)
    assert np.allclose(compared.drift, [5, 1, 1e-30], rtol=1e-12, atol=0)
    assert np.allclose(np.asarray(compared.cosine)[[0, 2]], [0.6, 1.0])
    assert np.isnan(compared.cosine[1])
    assert np.allclose(compared.residual, [4, 1, 0])


def test_directions_that_do_not_fit(pruned):
    apply_fn, params, delta, images = pruned
    with pytest.raises(InputError, match="structure"):
        embedding_jvp(apply_fn, params, {"fc": delta["fc"]}, images)
    with pytest.raises(InputError, match="bn1/bias: delta is float32"):
        drift(apply_fn, params, jax.tree.map(lambda d: d.astype("f4"), delta), images)
