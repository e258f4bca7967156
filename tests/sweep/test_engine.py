"""The compiled step against the plain functions it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import toy_network

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.memory import parse_bytes, peak_bytes
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sensitivity import agreement, displacement, embedding_jvp
from prefiqs_jax.sweep.engine import compile_step, fetch, make_step, prepare, start
from prefiqs_jax.sweep.estimate import estimate
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.sweep.strategy import Strategy, default_strategy

SPARSITIES = [0.05, 0.2, 0.4, 0.6, 0.8, 0.9]


@pytest.fixture(scope="module")
def problem():
    apply_fn, params, images = toy_network(np.float32)
    packed = pack_masks(globally(magnitude), params, SPARSITIES)
    return apply_fn, params, images, prepare(apply_fn, params, packed)


@pytest.fixture(scope="module")
def plain(problem):
    """Give what the plain functions find at each sparsity, and the pruned norms."""
    apply_fn, params, images, _ = problem
    found = []
    for sparsity in SPARSITIES:
        delta = pruning_delta(params, globally(magnitude)(params, sparsity))
        _, jvp = embedding_jvp(apply_fn, params, delta, images)
        expected = agreement(jvp, displacement(apply_fn, params, delta, images))
        raw = apply_fn(jax.tree.map(jnp.add, params, delta), images)
        found.append((expected, np.linalg.norm(np.asarray(raw), axis=-1)))
    return found


def measure(compiled, prepared, images, batch_size):
    return fetch(start(compiled, prepared, images, batch_size), len(images))


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(),
        Strategy(tangent_chunk=2),
        Strategy(tangent_chunk=3, slice_size=1),
        Strategy(tangent_chunk=6, pruned_chunk=2),
        Strategy(pruned_chunk=6),
    ],
    ids=str,
)
def test_equals_the_plain_functions(problem, plain, strategy):
    _, _, images, prepared = problem
    compiled = compile_step(prepared, images.shape, strategy)
    measured = measure(compiled, prepared, np.asarray(images), len(images))
    for index, (expected, norms) in enumerate(plain):
        for ours, theirs in zip(measured.compared, expected, strict=True):
            assert np.abs(ours[index] - np.asarray(theirs)).max() < 2e-6
        assert np.abs(measured.pruned_norm[index] / norms - 1).max() < 1e-6


def test_only_what_moves_is_differentiated(problem):
    _, params, _, prepared = problem
    names = len(jax.tree.leaves(params))
    assert len(prepared.pruned_leaves) == len(prepared.planes) == 3
    assert len(prepared.fixed_leaves) == names - 3
    assert jax.tree.structure(
        prepared.params(prepared.pruned_leaves, prepared.fixed_leaves)
    ) == (jax.tree.structure(params))


def test_a_smaller_batch_is_padded_not_recompiled(problem):
    _, _, images, prepared = problem
    compiled = compile_step(prepared, images.shape, Strategy(tangent_chunk=2))
    whole = measure(compiled, prepared, np.asarray(images), 5)
    part = measure(compiled, prepared, np.asarray(images[:2]), 5)
    assert part.dense_norm.shape == (2,)
    for ours, all_of_them in zip(part.compared, whole.compared, strict=True):
        assert np.abs(ours - all_of_them[:, :2]).max() <= 1e-6


def test_no_copy_of_the_weights_for_each_sparsity(problem):
    """Temporaries grow with the chunk, not with the number of sparsities."""
    apply_fn, params, images, _ = problem
    temporaries = {}
    for count in (4, 32):
        levels = [(i + 1) / (count + 1) for i in range(count)]
        packed = pack_masks(globally(magnitude), params, levels)
        prepared = prepare(apply_fn, params, packed)
        step = jax.jit(make_step(prepared, Strategy(tangent_chunk=2)))
        compiled = step.lower(
            prepared.pruned_leaves, prepared.fixed_leaves, prepared.planes, images
        ).compile()
        temporaries[count] = peak_bytes(compiled)
    weights = sum(w.nbytes for w in prepared.pruned_leaves)
    # 28 sparsities more cost three bytes a weight for the masks, no copy (112).
    assert temporaries[32] - temporaries[4] < 4 * weights


@pytest.mark.slow
def test_plan_fits_its_limit(problem):
    *_, prepared = problem
    generous = Planner(prepared, (8, 8, 3), 100, memory_limit=10**9).plan()
    assert generous.batch_size == 25  # 100 in four batches, not three and a rest
    assert len(SPARSITIES) % generous.strategy.tangent_chunk == 0
    limit = generous.predicted_bytes // 2
    tight = Planner(prepared, (8, 8, 3), 100, memory_limit=limit).plan()
    assert tight.predicted_bytes == peak_bytes(tight.compiled)
    assert tight.predicted_bytes <= limit
    assert tight.batch_size == 25  # of the run: memory decides on the steps alone
    assert tight.step_size <= 14
    assert Planner(prepared, (8, 8, 3), 3).plan().batch_size == 3


def test_no_plan_fits(problem):
    *_, prepared = problem
    with pytest.raises(InputError, match=r"one image needs .* raise --memory-limit"):
        Planner(prepared, (8, 8, 3), 10, memory_limit=1000).plan()


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "8 parsecs", "1e9"])
def test_amounts_that_are_none(text):
    with pytest.raises(InputError, match="not an amount"):
        parse_bytes(text)


def test_slices_where_memory_sets_the_pace():
    """A network's arithmetic, counted by hand, decides on the rule for a CPU."""
    weights = np.ones((8, 4), np.float32)
    dense = estimate(_prepared(lambda p, x: x @ p["w"], weights), (8,), "f4")
    assert dense.operations == 2 * 8 * 4
    conv = lambda p, x: jax.lax.conv_general_dilated(  # noqa: E731
        x, p["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    kernel = np.ones((3, 3, 2, 5), np.float32)
    for wrap in (jax.jit, jax.checkpoint):
        found = estimate(_prepared(wrap(conv), kernel), (6, 7, 2), "f4")
        assert found.operations == 2 * 6 * 7 * 5 * 3 * 3 * 2
    assert found.residuals == 6 * 7 * 2 * 4  # the images alone
    assert found.intensity == found.operations / found.residuals
    assert default_strategy(4, 16, 99.0) == Strategy(1, slice_size=8)
    assert default_strategy(4, 28, 99.0) == Strategy(1, slice_size=7)
    assert default_strategy(4, 16, 101.0) == Strategy(2)
    assert default_strategy(5, 7, 10.0) == default_strategy(1, 4, 10.0) == Strategy()


def _prepared(apply_fn, weights):
    params = {"w": weights}
    return prepare(apply_fn, params, pack_masks(globally(magnitude), params, [0.5]))
