"""The metric of the embedding against a dense Jacobian, in float64."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sensitivity.small_network import IMAGES, PARAMS, flat, jacobian, network

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    control_delta,
    metric_eigenvalues,
    metric_trace,
    share_in_subspace,
)


@pytest.fixture(scope="module")
def case():
    delta = pruning_delta(PARAMS, globally(magnitude)(PARAMS, 0.4))
    return network, PARAMS, delta, IMAGES, jacobian()


def test_trace(case):
    apply_fn, params, _, images, jacobian = case
    expected = (jacobian**2).sum((1, 2))
    exact = metric_trace(apply_fn, params, images)
    np.testing.assert_allclose(exact.value, expected, rtol=1e-11)
    found = metric_trace(apply_fn, params, images, jax.random.key(0), 400)
    z = (found.value - expected) / found.standard_error
    assert np.abs(z).max() < 4
    # Var ‖Jε‖² = 2 (Σ λ² - Σ G_ii²) for random signs.
    gram = np.einsum("bdn,ben->bde", jacobian, jacobian)
    diagonal = ((jacobian**2).sum(1) ** 2).sum(-1)
    variance = 2 * ((gram**2).sum((1, 2)) - diagonal)
    np.testing.assert_allclose(found.standard_error, np.sqrt(variance / 400), rtol=0.3)


def test_trace_of_some_leaves(case):
    apply_fn, params, _, images, jacobian = case
    found = metric_trace(
        apply_fn, params, images, prunable=lambda name, _: name == "second/kernel"
    )
    expected = (jacobian[..., -12:] ** 2).sum((1, 2))
    np.testing.assert_allclose(found.value, expected, rtol=1e-11)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_eigenvalues_against_the_dense_jacobian(case, count):
    apply_fn, params, _, images, jacobian = case
    found = jax.jit(lambda p, x: metric_eigenvalues(apply_fn, p, x, count))(
        params, images
    )
    left, singular, _ = np.linalg.svd(jacobian, full_matrices=False)
    np.testing.assert_allclose(found.values, singular[:, :count] ** 2, rtol=1e-9)
    cosines = np.einsum("bcd,bdc->bc", found.vectors, left[:, :, :count])
    np.testing.assert_allclose(np.abs(cosines), 1, rtol=1e-9)
    assert found.residual.max() < 1e-9 * found.values.max()
    gram = np.einsum("bcd,bed->bce", found.vectors, found.vectors)
    assert np.abs(gram - np.eye(count)).max() < 1e-10


def test_residual_of_few_steps(case):
    apply_fn, params, _, images, jacobian = case
    found = metric_eigenvalues(apply_fn, params, images, 1, steps=2)
    product = np.einsum("bdn,ben,bce->bcd", jacobian, jacobian, found.vectors)
    rest = np.linalg.norm(product - found.values[..., None] * found.vectors, axis=-1)
    np.testing.assert_allclose(found.residual, rest, rtol=1e-6)
    assert found.residual.max() > 1e-3 * found.values.max()
    exact = np.linalg.svd(jacobian, compute_uv=False) ** 2
    nearest = np.abs(found.values[:, :, None] - exact[:, None]).min(-1)
    assert (nearest <= found.residual * (1 + 1e-9)).all()


def test_shares_against_the_dense_jacobian(case):
    apply_fn, params, delta, images, jacobian = case
    count = 2
    found = jax.jit(lambda p, d, x: share_in_subspace(apply_fn, p, d, x, count))(
        params, delta, images
    )
    right = np.linalg.svd(jacobian, full_matrices=False)[2][:, :count]
    change = flat(delta)
    inside = np.einsum("bcn,n->bc", right, change)
    np.testing.assert_allclose(
        found.norm, (inside**2).sum(-1) / (change @ change), rtol=1e-8
    )
    projected = np.einsum("bc,bcn->bn", inside, right)
    moved = np.einsum("bdn,bn->bd", jacobian, projected)
    whole = np.einsum("bdn,n->bd", jacobian, change)
    np.testing.assert_allclose(
        found.effect, (moved**2).sum(-1) / (whole**2).sum(-1), rtol=1e-8
    )
    assert found.random == count / len(change)


def test_share_of_all_eigenvectors_is_the_whole_effect(case):
    apply_fn, params, delta, images, _ = case
    found = share_in_subspace(apply_fn, params, delta, images, 3)
    np.testing.assert_allclose(found.effect, 1, rtol=1e-9)


def test_vectors_that_are_known_are_not_found_again(case, monkeypatch):
    apply_fn, params, delta, images, _ = case
    alone = share_in_subspace(apply_fn, params, delta, images, 2)
    known = metric_eigenvalues(apply_fn, params, images, 2).vectors
    monkeypatch.setitem(sys.modules, "matfree", None)
    found = share_in_subspace(apply_fn, params, delta, images, 2, vectors=known)
    np.testing.assert_array_equal(found.norm, alone.norm)
    np.testing.assert_array_equal(found.random_by_leaf, alone.random_by_leaf)
    with pytest.raises(InputError, match=r"vectors of shape .* and a count of 3;"):
        share_in_subspace(apply_fn, params, delta, images, 3, vectors=known)


@pytest.mark.slow
def test_another_form_for_reverse_mode_gives_the_same(case):
    apply_fn, params, delta, images, _ = case
    calls = []

    @jax.custom_vjp
    def only_in_reverse(params, images):
        return apply_fn(params, images)

    def forward(params, images):
        calls.append(len(images))
        out, pull = jax.vjp(apply_fn, params, images)
        return out, pull

    only_in_reverse.defvjp(forward, lambda pull, v: pull(v))
    plain = metric_eigenvalues(apply_fn, params, images, 2)
    found = metric_eigenvalues(apply_fn, params, images, 2, reverse_fn=only_in_reverse)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-10)
    arguments = apply_fn, params, delta, images, 2
    share = share_in_subspace(*arguments, reverse_fn=only_in_reverse)
    np.testing.assert_allclose(
        share.norm, share_in_subspace(*arguments).norm, rtol=1e-9
    )
    assert set(calls) == {1}


@pytest.mark.slow
def test_random_shares_are_those_of_random_directions(case):
    apply_fn, params, delta, images, jacobian = case
    found = share_in_subspace(apply_fn, params, delta, images, 2)
    right = np.linalg.svd(jacobian, full_matrices=False)[2][:, :2]
    keys = jax.random.split(jax.random.key(4), 4000)
    made = jax.jit(jax.vmap(lambda key: control_delta("gaussian", params, delta, key)))(
        keys
    )
    drawn = flat(made, axes=1)
    shares = (np.einsum("bcn,mn->mbc", right, drawn, optimize=True) ** 2).sum(-1)
    shares /= (drawn**2).sum(1)[:, None]
    error = shares.std(0) / np.sqrt(4000)
    assert (np.abs(shares.mean(0) - found.random_by_leaf) < 4 * error).all()
    assert (error < 0.05 * shares.mean(0)).all()
    uniform = np.random.default_rng(0).normal(size=(4000, drawn.shape[1]))
    shares = (np.einsum("bcn,mn->mbc", right, uniform, optimize=True) ** 2).sum(-1)
    shares /= (uniform**2).sum(1)[:, None]
    error = shares.std(0) / np.sqrt(4000)
    assert (np.abs(shares.mean(0) - found.random) < 4 * error).all()


def test_refusals(case, monkeypatch):
    apply_fn, params, delta, images, _ = case
    with pytest.raises(InputError, match=r"count is 4, .* 1 to 3 eigenvalues"):
        metric_eigenvalues(apply_fn, params, images, 4)
    with pytest.raises(InputError, match=r"steps is 1; give 2 \(the count\) to 3"):
        metric_eigenvalues(apply_fn, params, images, 2, steps=1)
    with pytest.raises(InputError, match="structure"):
        share_in_subspace(apply_fn, params, {"first": delta["first"]}, images, 2)
    monkeypatch.setitem(sys.modules, "matfree", None)
    with pytest.raises(InputError, match=r"pip install 'prefiqs-jax\[metric\]'"):
        metric_eigenvalues(apply_fn, params, images, 2)


@pytest.mark.slow
def test_float32(case):
    apply_fn, params, _, images, _ = case
    low = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    found = metric_eigenvalues(apply_fn, low, images.astype(jnp.float32), 3)
    exact = metric_eigenvalues(apply_fn, params, images, 3)
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, exact.values, rtol=1e-4)
