"""Learned masks: exact counts, and better at their goal on images they did not see."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from prefiqs_jax import masks
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.testing import check_mask
from prefiqs_jax.sensitivity import drift
from prefiqs_jax.trees import named_leaves


def network(seed=0, inputs=24):
    """A dense network of two layers whose inputs lie in a quarter of the dimensions."""
    rng = np.random.default_rng(seed)
    params = {
        "a": jnp.asarray(rng.standard_normal((inputs, 16)) / 5),
        "b": jnp.asarray(rng.standard_normal((16, 8)) / 4),
    }
    images = np.zeros((64, inputs))
    images[:, : inputs // 4] = rng.standard_normal((64, inputs // 4))
    return lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"], params, jnp.asarray(images)


def test_least_drift_beats_magnitude_on_held_out_images():
    apply_fn, params, images = network()
    train, held_out = images[:32], images[32:]
    learned = masks.learn_mask(
        apply_fn,
        params,
        train,
        0.4,
        masks.least_drift,
        steps=150,
        optimiser=optax.adam(0.02),
    )
    found = {}
    for name, mask_fn in (
        ("learned", learned.mask_fn),
        ("magnitude", masks.globally(masks.magnitude)),
    ):
        mask = mask_fn(params, 0.4)
        assert masks.achieved_sparsity(params, mask)[0] == pytest.approx(0.4, abs=1e-3)
        delta = masks.pruning_delta(params, mask)
        found[name] = float(drift(apply_fn, params, delta, held_out).mean())
    assert found["learned"] < 0.75 * found["magnitude"]
    assert learned.history[-1] < learned.history[0]
    check_mask(learned.mask_fn, params)


@pytest.mark.parametrize("goal", ["agreement", "separation"])
def test_other_goals_go_down(goal):
    apply_fn, params, images = network(1)
    degraded = np.arange(len(images)) % 2 == 1
    images = jnp.where(jnp.asarray(degraded)[:, None], images * 0.3, images)
    wanted = masks.best_agreement if goal == "agreement" else masks.separation(degraded)
    found = masks.learn_mask(
        apply_fn,
        params,
        images,
        0.5,
        wanted,
        steps=60,
        optimiser=optax.adam(0.02),
        batch_size=64,
    )
    assert found.history[-1] < found.history[0] - 0.01


def test_learned_scores_compose_with_allocations():
    apply_fn, params, images = network(2)
    learned = masks.learn_mask(
        apply_fn,
        params,
        images,
        0.5,
        masks.least_drift,
        steps=3,
        allocation=masks.n_m(2, 4),
    )
    keep = learned.mask_fn(params, 0.5)["a"]
    assert (keep.reshape(-1, 4, keep.shape[1]).sum(1) == 2).all()
    other = masks.layerwise(learned.score)(params, 0.25)
    sizes = dict(named_leaves(params))
    assert all((~other[n]).sum() == sizes[n].size // 4 for n in sizes)


def test_bad_input():
    apply_fn, params, images = network()
    with pytest.raises(InputError, match="above 0"):
        masks.learn_mask(apply_fn, params, images, 0.0, masks.least_drift)
    with pytest.raises(InputError, match="the goal is nan after 0 steps"):
        masks.learn_mask(
            apply_fn, params, images, 0.5, lambda moved: moved.drift.sum() * jnp.nan
        )
    learned = masks.learn_mask(
        apply_fn, params, images, 0.5, masks.least_drift, steps=1
    )
    with pytest.raises(InputError, match="no score was learned for c"):
        learned.mask_fn({"c": params["a"]}, 0.5)
