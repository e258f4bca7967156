"""SER-FIQ by brute force: its parts, its draws, what they depend on."""

import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level

from prefiqs_jax.quality import image_seeds
from prefiqs_jax.quality.keys import image_keys
from prefiqs_jax.quality.serfiq import (
    LEVELS,
    kept_features,
    mean_distances,
    mean_pairwise_distance,
    quality_of,
)

quick_jit = jit_at_level(0)
SEEDS = jnp.asarray(image_seeds(["a", "b", "c"]))


def trunk(_params, images):
    return images.reshape(len(images), -1)


def head(params, features):
    return jnp.tanh(features @ params)


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 5)), rng.normal(size=(3, 2, 2, 3))


def test_pairwise_mean_by_brute_force():
    rows = np.random.default_rng(1).normal(size=(7, 4))
    pairs = [np.linalg.norm(rows[i] - rows[j]) for i in range(7) for j in range(i)]
    np.testing.assert_allclose(
        mean_pairwise_distance(jnp.asarray(rows)), np.mean(pairs), rtol=1e-14
    )


def test_whole_score_by_brute_force(network):
    params, images = network
    ours = quick_jit(mean_distances(trunk, head, passes=4, dropout=0.25, seed=3))
    found = ours(params, jnp.asarray(images), SEEDS)
    keys = image_keys(3, SEEDS)
    for image in range(3):
        unit = []
        for number in range(4):
            keep = kept_features(keys, number, 12, round(0.75 * LEVELS))[image]
            raw = np.tanh((images[image].ravel() * np.asarray(keep) / 0.75) @ params)
            unit.append(raw / np.linalg.norm(raw))
        pairs = [np.linalg.norm(unit[i] - unit[j]) for i in range(4) for j in range(i)]
        np.testing.assert_allclose(found[image], np.mean(pairs), rtol=1e-12)


def test_without_dropout_all_passes_are_the_network(network):
    params, images = network
    seen = []

    def watched(params, features):
        seen.append(features.shape)
        return head(params, features)

    ours = quick_jit(mean_distances(trunk, watched, passes=3, dropout=0.0))
    np.testing.assert_array_equal(ours(params, jnp.asarray(images), SEEDS), 0)
    np.testing.assert_array_equal(quality_of(np.zeros(1)), quality_of(np.zeros(2))[:1])
    assert set(seen) == {(3, 12)}


def test_an_image_draws_the_same_in_any_company(network):
    params, images = network
    ours = quick_jit(mean_distances(trunk, head, passes=5))
    whole = ours(params, jnp.asarray(images), SEEDS)
    alone = ours(params, jnp.asarray(images[2:]), SEEDS[2:])
    turned = ours(params, jnp.asarray(images[::-1].copy()), SEEDS[::-1])
    np.testing.assert_allclose(alone[0], whole[2], rtol=1e-12)
    np.testing.assert_allclose(turned[::-1], whole, rtol=1e-12)
    other = quick_jit(mean_distances(trunk, head, passes=5, seed=1))
    assert (other(params, jnp.asarray(images), SEEDS) != whole).all()


def test_what_is_kept():
    keys = image_keys(0, SEEDS)
    kept = np.stack([kept_features(keys, n, 4001, round(0.6 * LEVELS)) for n in (0, 1)])
    assert kept.shape == (2, 3, 4001)
    assert kept.dtype == bool
    # Six draws of 4,001 features: four standard deviations.
    deviation = np.sqrt(0.6 * 0.4 / 4001)
    np.testing.assert_allclose(kept.mean(-1), 0.6, atol=4 * deviation)
    draws = kept.reshape(6, -1).astype(float)
    between = np.corrcoef(draws) - np.eye(6)
    assert np.abs(between).max() < 5 / np.sqrt(4001)
    # Both halves of a word are used, and differ.
    assert np.abs(np.corrcoef(draws[0][:2000], draws[0][2001:])[0, 1]) < 0.1
    assert kept_features(keys, 0, 9, LEVELS).all()


def test_the_logistic():
    # By hand: d = 0.2 gives 2 / (1 + e^0.2) = 0.900332, and 130 · 0.020332 = 2.6432.
    np.testing.assert_allclose(quality_of(np.array([0.2])), 0.93359, atol=1e-5)
    distances = np.linspace(0, 2, 50)
    assert (np.diff(quality_of(distances)) < 0).all()
