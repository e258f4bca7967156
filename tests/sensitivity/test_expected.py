"""Expected squared drift against all masks, many masks, and a dense Jacobian."""

from functools import partial
from itertools import combinations, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sensitivity.small_network import IMAGES, PARAMS, flat, jacobian, network

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    Directions,
    control_delta,
    control_directions,
    expected_squared_drift,
    random_masks,
)
from prefiqs_jax.sensitivity.expected import KINDS

EXACTLY = jax.jit(partial(expected_squared_drift, network))
"""Of (params, directions, images)."""


def masks(within, sparsity):
    """List every mask that drops exactly round(s n) weights, as rows of 0 and 1."""
    sizes = (6, 12) if within == "leaf" else (18,)
    choices = [combinations(range(n), round(sparsity * n)) for n in sizes]
    starts = np.cumsum((0, *sizes))
    rows = []
    for chosen in product(*(list(each) for each in choices)):
        row = np.zeros(18)
        for start, own in zip(starts, chosen, strict=False):
            row[[start + i for i in own]] = 1
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize(("within", "sparsity"), [("leaf", 1 / 3), ("all", 0.2)])
def test_exact_against_all_masks(within, sparsity):
    gone = masks(within, sparsity)
    assert len(gone) == {"leaf": 15 * 495, "all": 3060}[within]
    jvps = np.einsum("bdn,mn->mbd", jacobian(), -gone * flat(PARAMS))
    found = EXACTLY(PARAMS, random_masks(PARAMS, sparsity, within=within), IMAGES)
    np.testing.assert_allclose(found.value, (jvps**2).sum(-1).mean(0), rtol=1e-12)
    assert not found.standard_error.any()


@pytest.mark.parametrize("within", ["leaf", "all"])
def test_exact_against_a_hundred_thousand_masks(within):
    count, sizes = 100_000, (6, 12) if within == "leaf" else (18,)
    draw = np.random.default_rng(1)
    gone = np.concatenate(
        [draw.random((count, n)).argsort(1) < round(0.5 * n) for n in sizes], 1
    ).astype(float)
    jvps = np.einsum("bdn,mn->mbd", jacobian(), -gone * flat(PARAMS), optimize=True)
    squared = (jvps**2).sum(-1)
    found = EXACTLY(PARAMS, random_masks(PARAMS, 0.5, within=within), IMAGES).value
    error = squared.std(0) / np.sqrt(count)
    assert (np.abs(squared.mean(0) - found) < 3 * error).all()
    assert (error < 0.01 * np.asarray(found)).all()  # so that the check says something


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_controls_have_the_moments_that_are_told(kind):
    """20,000 directions of `control_delta` itself, pushed by the dense Jacobian."""
    mask = globally(magnitude)(PARAMS, 0.5)
    delta = pruning_delta(PARAMS, mask)
    keys = jax.random.split(jax.random.key(2), 20_000)
    made = jax.jit(jax.vmap(partial(control_delta, kind, PARAMS, delta)))(keys)
    squared = (np.einsum("bdn,mn->mbd", jacobian(), flat(made, axes=1)) ** 2).sum(-1)
    found = EXACTLY(PARAMS, control_directions(kind, PARAMS, delta), IMAGES).value
    error = squared.std(0) / np.sqrt(20_000)
    assert (np.abs(squared.mean(0) - found) < 3 * error + 1e-12).all()
    assert (error < 0.02 * np.asarray(found)).all()


@pytest.mark.parametrize(
    "directions",
    [
        random_masks(PARAMS, 0.5),
        random_masks(PARAMS, 0.3, within="all"),
        control_directions("gaussian", PARAMS, PARAMS),
        control_directions("permuted", PARAMS, PARAMS),
    ],
    ids=["leaf", "all", "gaussian", "permuted"],
)
def test_probes_are_unbiased_and_know_their_error(directions):
    exact = np.asarray(EXACTLY(PARAMS, directions, IMAGES).value)
    run = jax.jit(
        jax.vmap(
            lambda key: expected_squared_drift(
                network, PARAMS, directions, IMAGES, probes=50, key=key
            )
        )
    )
    value, error = map(np.asarray, run(jax.random.split(jax.random.key(5), 200)))
    z = (value - exact) / error
    assert (np.abs(value.mean(0) - exact) < 4 * value.std(0) / np.sqrt(200)).all()
    assert (np.abs(z.std(0) - 1) < 0.3).all()
    assert (value.std(0) < 0.3 * exact).all()


def test_one_probe_has_no_error():
    found = expected_squared_drift(
        network,
        PARAMS,
        random_masks(PARAMS, 0.5),
        IMAGES,
        probes=1,
        key=jax.random.key(0),
    )
    assert np.isfinite(found.value).all()
    assert np.isnan(found.standard_error).all()


def test_gaussian_directions_by_the_formula():
    delta = jax.tree.map(jnp.sin, PARAMS)
    squares = [np.sum(np.square(leaf)) for leaf in jax.tree.leaves(delta)]
    expected = sum(
        square / leaf.size * (jacobian([i]) ** 2).sum((1, 2))
        for i, (square, leaf) in enumerate(
            zip(squares, jax.tree.leaves(PARAMS), strict=True)
        )
    )
    found = EXACTLY(PARAMS, control_directions("gaussian", PARAMS, delta), IMAGES)
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)


def test_a_sparsity_of_each_leaf():
    by_name = random_masks(PARAMS, {"first/kernel": 1 / 3})
    first = random_masks(PARAMS, 1 / 3, prunable=lambda name, _: name == "first/kernel")
    one, other = (EXACTLY(PARAMS, each, IMAGES).value for each in (by_name, first))
    np.testing.assert_allclose(one, other, rtol=1e-13)


def test_nothing_goes():
    found = EXACTLY(PARAMS, random_masks(PARAMS, 0.0), IMAGES)
    assert not found.value.any()


def test_directions_pass_through_jit():
    made = random_masks(PARAMS, 0.5)
    assert isinstance(made, Directions)
    alone = expected_squared_drift(network, PARAMS, made, IMAGES).value
    found = EXACTLY(PARAMS, made, IMAGES).value
    np.testing.assert_allclose(found, alone, rtol=1e-12)


@pytest.mark.slow
def test_float32_throughout():
    params, images = jax.tree.map(lambda a: a.astype(jnp.float32), (PARAMS, IMAGES))
    made = random_masks(params, 0.5)
    for probes in (None, 4):
        found = expected_squared_drift(
            network, params, made, images, probes=probes, key=jax.random.key(0)
        )
        assert {each.dtype for each in found} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: random_masks(PARAMS, 1.0), "sparsity of first/kernel is 1"),
        (lambda: random_masks(PARAMS, {"first/bias": 0.1}), "no prunable leaf"),
        (
            lambda: random_masks(PARAMS, {"first/kernel": 0.1}, within="all"),
            "go with within='leaf'",
        ),
        (
            lambda: control_directions("shuffled-mask", PARAMS, PARAMS),
            "use random_masks",
        ),
        (lambda: control_directions("sings", PARAMS, PARAMS), "did you mean signs"),
        (
            lambda: expected_squared_drift(
                network, PARAMS, random_masks(PARAMS, 0.5), IMAGES, probes=3
            ),
            "give a key",
        ),
        (
            lambda: expected_squared_drift(
                network,
                PARAMS,
                random_masks(PARAMS, 0.5),
                IMAGES,
                probes=0,
                key=jax.random.key(0),
            ),
            "probes is 0",
        ),
    ],
)
def test_refusals(call, words):
    with pytest.raises(InputError, match=words):
        call()
