"""Levels against the plain definition: a stable sort of everything."""

import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.masks.blocks import BLOCK
from prefiqs_jax.masks.order import joint_levels, pruning_levels
from prefiqs_jax.masks.selection import SORTED_WHOLE, STRIDE

LARGE = 2 * max(BLOCK, SORTED_WHOLE) + 12_345


def by_sorting(scores, counts):
    """Rank with a stable sort; an entry goes at the first count above its rank."""
    ranks = np.empty(scores.size, int)
    ranks[np.argsort(scores, kind="stable")] = np.arange(scores.size)
    return np.searchsorted(counts, ranks, side="right")


def some_counts(size, rng):
    """Spread counts, with repeated, neighbouring and extreme ones among them."""
    drawn = rng.integers(0, size + 1, 5).tolist()
    return sorted([0, 0, 1, *drawn, drawn[0], min(drawn[1] + 1, size), size - 1, size])


def unlucky(rng):
    """Hide from a sample of every 31st entry what the others are."""
    scores = rng.standard_normal(LARGE)
    for start in range(0, LARGE, BLOCK):
        scores[start : start + BLOCK : STRIDE] = 7.0
    return scores


def half_zero(rng):
    return np.maximum(rng.standard_normal(LARGE, np.float32), 0)


def infinite(rng):
    return rng.choice([-np.inf, -1.0, -0.0, 0.0, 2.0, np.inf], LARGE)


SCORES = {
    "continuous": lambda rng: rng.standard_normal(LARGE, np.float32),
    "double": lambda rng: rng.standard_normal(LARGE),
    "half": lambda rng: rng.standard_normal(LARGE).astype(np.float16),
    "bfloat16": lambda rng: rng.standard_normal(LARGE).astype(jnp.bfloat16),
    "unsigned": lambda rng: rng.integers(0, 2**32, LARGE, dtype=np.uint32),
    "signed": lambda rng: rng.integers(-(2**63), 2**63 - 1, LARGE),
    "bool": lambda rng: rng.random(LARGE) > 0.3,
    "constant": lambda rng: np.full(LARGE, rng.random()),
    "quantised": lambda rng: rng.integers(-128, 128, LARGE, dtype=np.int8),
    "half zero": half_zero,
    "rare": lambda rng: (rng.random(LARGE) < 1e-3) * rng.random(LARGE),
    "infinite": infinite,
    "ascending": lambda rng: np.sort(rng.random(LARGE)),
    "descending": lambda rng: -np.sort(rng.random(LARGE)),
    "unlucky": unlucky,
}


@pytest.mark.parametrize("kind", SCORES)
def test_levels_of_many_equal_a_stable_sort(kind):
    rng = np.random.default_rng(0)
    scores = SCORES[kind](rng)
    counts = some_counts(LARGE, rng)
    assert np.array_equal(pruning_levels(scores, counts), by_sorting(scores, counts))


@pytest.mark.parametrize("distinct", [1, 2, 5, 1000])
def test_levels_equal_a_stable_sort(distinct):
    rng = np.random.default_rng(distinct)
    scores = rng.integers(0, distinct, 300).astype(np.float32)
    counts = sorted(rng.integers(0, 301, 7).tolist())
    levels = pruning_levels(scores, counts)
    order = np.argsort(scores, kind="stable")
    for index, count in enumerate(counts):
        assert set(np.flatnonzero(levels <= index)) == set(order[:count])
    assert levels.dtype == np.uint8


@pytest.mark.parametrize("sizes", [(3, 0, 40, 7), (BLOCK - 1, 5, LARGE, 1, 2 * BLOCK)])
@pytest.mark.parametrize("distinct", [3, 10**6])
def test_parts_are_ranked_as_one(sizes, distinct):
    rng = np.random.default_rng(1)
    parts = [rng.integers(0, distinct, size).astype(np.float32) for size in sizes]
    parts[2] = parts[2].astype(np.float64) + 0.25  # types and signs mix
    parts[3] = -parts[3].astype(np.int32)
    counts = some_counts(sum(sizes), rng)
    levels = joint_levels(parts, counts)
    assert [level.size for level in levels] == list(sizes)
    expected = by_sorting(np.concatenate(parts), counts)
    assert np.array_equal(np.concatenate(levels), expected)


@pytest.mark.parametrize("size", [1000, LARGE])
def test_many_sparsities(size):
    counts = np.linspace(0, size, 500, endpoint=False).astype(int).tolist()
    scores = np.random.default_rng(2).integers(0, 300, size)
    levels = pruning_levels(scores, counts)
    assert levels.dtype == np.uint16
    assert np.array_equal(levels, by_sorting(scores, counts))


def test_the_widest_byte():
    levels = pruning_levels(np.arange(300), list(range(1, 256)))
    assert levels.dtype == np.uint8
    assert levels.tolist() == [*range(255), *[255] * 45]


def test_infinite_scores_are_ordered():
    assert pruning_levels(np.array([np.inf, 1, -np.inf]), [1, 2]).tolist() == [2, 1, 0]


@pytest.mark.parametrize("scores", [np.zeros(0), np.zeros(4)])
def test_nothing_goes(scores):
    assert pruning_levels(scores, [0, 0]).tolist() == [2] * scores.size
    assert pruning_levels(scores, []).tolist() == [0] * scores.size
