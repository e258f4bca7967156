"""Controls: what each keeps of the pruning direction, and what it draws anew."""

from functools import partial
from itertools import combinations, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from scipy import stats
from sensitivity.small_network import IMAGES, PARAMS, flat, network

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    CONTROLS,
    agreement,
    control_delta,
    control_responses,
    displacement,
    embedding_jvp,
)
from prefiqs_jax.sensitivity.controls import _SHEARS, _orders, _sheared

KEY = jax.random.key(7)

quick_jit = jit_at_level(0)


DELTA = pruning_delta(PARAMS, globally(magnitude)(PARAMS, 0.5))
ARGS = (network, PARAMS, DELTA, IMAGES)


def leaf_norms(tree):
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
    return np.array([np.sqrt(np.sum(leaf**2)) for leaf in leaves])


@pytest.mark.parametrize("kind", CONTROLS)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_every_leaf_keeps_its_norm(kind, dtype, rtol):
    params, delta = jax.tree.map(lambda a: a.astype(dtype), (PARAMS, DELTA))
    made = control_delta(kind, params, delta, KEY)
    np.testing.assert_allclose(leaf_norms(made), leaf_norms(delta), rtol=rtol)
    assert leaf_norms(delta)[0] == 0  # the bias stays unchanged
    for leaf, change in zip(*map(jax.tree.leaves, (made, delta)), strict=True):
        assert (leaf.dtype, leaf.shape) == (change.dtype, change.shape)
        assert not np.array_equal(leaf, change) or not change.any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONTROLS)
def test_norms_of_large_leaves_in_float32(kind):
    """A float32 sum of millions of squares, one after another, would be off by 1e-4."""
    weights = jax.random.normal(jax.random.key(1), (1500, 1000), jnp.float32)
    delta = pruning_delta([weights], globally(magnitude)([weights], 0.4))
    made = jax.jit(partial(control_delta, kind))([weights], delta, KEY)
    np.testing.assert_allclose(leaf_norms(made), leaf_norms(delta), rtol=1e-6)


def test_what_each_control_keeps():
    made = {kind: control_delta(kind, PARAMS, DELTA, KEY) for kind in CONTROLS}
    for layer in ("first", "second"):
        weights, change = (np.asarray(t[layer]["kernel"]) for t in (PARAMS, DELTA))
        of = {kind: np.asarray(tree[layer]["kernel"]) for kind, tree in made.items()}
        assert np.array_equal(of["growth"], -change)
        assert np.array_equal(np.abs(of["signs"]), np.abs(change))
        assert np.array_equal(np.sort(of["permuted"], None), np.sort(change, None))
        gone = of["shuffled-mask"] != 0
        assert gone.sum() == (change != 0).sum()
        assert (gone != (change != 0)).any()
        ratio = of["shuffled-mask"][gone] / -weights[gone]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-13)
        assert 0 < ratio[0] < 1  # random weights are larger than the smallest
        assert (of["gaussian"] != 0).all()


def test_one_program_makes_any_number():
    traced = []

    def make(params, delta, key):
        traced.append(key)
        return control_delta("gaussian", params, delta, key)

    jitted = jax.jit(make)
    for seed in (0, 1):
        own = jax.random.key(seed)
        found, alone = jitted(PARAMS, DELTA, own), make(PARAMS, DELTA, own)
        np.testing.assert_allclose(flat(found), flat(alone), rtol=1e-12)
    assert len(traced) == 3  # one by the program, two without it


def many(kind, weights, change, count):
    keys = jax.random.split(jax.random.key(3), count)
    make = quick_jit(jax.vmap(partial(control_delta, kind, weights, change)))
    return np.asarray(make(keys), np.float64)


@pytest.mark.slow
def test_every_permutation_and_every_mask_is_as_likely():
    weights, change = jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([0.0, -2.0, -3.0, 0.0])
    draws = many("permuted", weights, jnp.array([1.0, 2.0, 3.0, 4.0]), 4800)
    seen = [tuple(row) for row in draws]
    counts = [seen.count(order) for order in permutations([1.0, 2.0, 3.0, 4.0])]
    assert sum(counts) == 4800
    assert stats.chisquare(counts).pvalue > 1e-4
    draws = many("shuffled-mask", weights, change, 3000)
    gone = [tuple(np.flatnonzero(row)) for row in draws]
    counts = [sum(pair == own for own in gone) for pair in combinations(range(4), 2)]
    assert sum(counts) == 3000
    assert stats.chisquare(counts).pvalue > 1e-4


def test_signs_are_fair_and_normal_numbers_normal():
    change = jnp.ones(20_000)
    signs = many("signs", change, change, 1)[0]
    assert (np.abs(signs) == 1).all()
    assert abs(signs.mean()) < 4 / np.sqrt(20_000)
    words = signs.reshape(-1, 32)  # 32 are of one random number
    assert (np.abs(words.mean(0)) < 4 / np.sqrt(625)).all()
    between = words.T @ words / 625 - np.eye(32)
    assert np.abs(between).max() < 5 / np.sqrt(625)
    assert abs((signs[32:] * signs[:-32]).mean()) < 4 / np.sqrt(20_000)
    normal = many("gaussian", change, change, 1)[0]
    assert stats.kstest(normal, "norm").pvalue > 1e-3


@pytest.mark.slow
def test_responses_are_those_of_the_directions():
    run = quick_jit(
        lambda p, d, x: control_responses(network, p, d, x, CONTROLS, 2, KEY)
    )
    found = run(PARAMS, DELTA, IMAGES)
    assert set(found) == set(CONTROLS)

    @quick_jit
    def by_hand(made):
        return agreement(
            embedding_jvp(network, PARAMS, made, IMAGES)[1],
            displacement(network, PARAMS, made, IMAGES),
        )

    for number, kind in enumerate(CONTROLS):
        responses = found[kind]
        expected = 1 if kind == "growth" else 2
        assert responses.drift.shape == (expected, len(IMAGES))
        for replicate in range(expected):
            own = jax.random.fold_in(jax.random.fold_in(KEY, number), replicate)
            made = control_delta(kind, PARAMS, DELTA, own)
            for ours, theirs in zip(responses, by_hand(made), strict=True):
                np.testing.assert_allclose(ours[replicate], theirs, rtol=1e-9)
        if expected == 2:
            assert (responses.drift[0] != responses.drift[1]).all()


@pytest.mark.slow
def test_a_replicate_is_the_same_beside_others():
    alone, beside = (
        control_responses(*ARGS, kinds, count, KEY)["signs"]
        for kinds, count in ((["signs"], 1), (["growth", "signs", "signs"], 2))
    )
    np.testing.assert_allclose(beside.drift[0], alone.drift[0], rtol=1e-12)


def test_first_order_of_growth_is_that_of_pruning():
    found = control_responses(*ARGS, ["growth"], 3, KEY)
    jvp = embedding_jvp(*ARGS)[1]
    expected = np.linalg.norm(jvp, axis=-1)
    np.testing.assert_allclose(found["growth"].first_order[0], expected, rtol=1e-12)


def test_refusals():
    nothing = jax.tree.map(jnp.zeros_like, DELTA)
    with pytest.raises(InputError, match="did you mean gaussian"):
        control_delta("gausian", PARAMS, DELTA, KEY)
    with pytest.raises(InputError, match="delta changes no weight"):
        control_delta("signs", PARAMS, nothing, KEY)
    for kinds, change, count, words in (
        ([], DELTA, 1, "no control is given"),
        (["signs"], DELTA, 0, "replicates is 0"),
        (["signs"], nothing, 1, "changes no weight"),
        (["signs"], {"first": DELTA["first"]}, 1, "structure"),
    ):
        with pytest.raises(InputError, match=words):
            control_responses(network, PARAMS, change, IMAGES, kinds, count, KEY)


@pytest.mark.slow
@pytest.mark.parametrize("count", [100, 101, 104])  # a grid that is exact, and not
def test_shears_give_any_order(count):
    """What large leaves are permuted by: one to one, and uniform for single places."""
    draws = 5000
    bits = jax.random.bits(jax.random.key(3), (draws, 2 * _SHEARS), jnp.uint32)
    orders = np.asarray(jax.jit(jax.vmap(lambda own: _sheared(count, own)))(bits))
    assert (np.sort(orders, axis=1) == np.arange(count)).all()
    for place in (0, 1, 10, 50, count - 1):
        for neighbour in (1, 10, 11, 13):
            steps = orders[:, place] - orders[:, (place + neighbour) % count]
            for values, fewest in ((orders[:, place], 0), (steps % count, 1)):
                counts = np.bincount(values, minlength=count)[fewest:]
                assert stats.chisquare(counts).pvalue > 1e-4


def test_leaves_have_orders_of_their_own():
    sizes = [1, 70_000, 6, 100, 80_000, 100]  # small ones are sorted, others sheared
    orders = _orders(sizes, jax.random.key(0))
    for size, order in zip(sizes, orders, strict=True):
        assert (np.sort(order) == np.arange(size)).all()
    assert (np.asarray(orders[1]) != np.arange(70_000)).mean() > 0.99
    assert (np.asarray(orders[3]) != np.asarray(orders[5])).mean() > 0.9
