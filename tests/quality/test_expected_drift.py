"""The expected drift as a quality: against its formula, and in any company."""

import jax
import numpy as np
import pytest
from quality.quality_networks import draw_images
from toy import toy_backbone

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.quality import METHODS, Draws, image_seeds, make_scorers
from prefiqs_jax.sensitivity import embed
from prefiqs_jax.trees import named_leaves

SEEDS = image_seeds(["a.png", "b.png", "c.png"])
IMAGES = draw_images(3, (8, 8))


def scorer(directions, seed=0):
    draws = Draws(seed=seed, expected_drift_directions=directions)
    (made,) = make_scorers(
        toy_backbone(), ["expected-drift"], batch_size=2, draws=draws
    )
    assert made.identity["expected_drift"] == {
        "directions": directions,
        "seed": seed,
        "sparsity": 0.4,
    }
    return lambda images, seeds: made.call(images, seeds)["expected-drift"]


@pytest.mark.slow
def test_many_directions_give_the_formula():
    backbone = toy_backbone()
    params = backbone.params
    jacobian = jax.jit(jax.jacrev(lambda p: embed(backbone.apply_fn, p, IMAGES)))(
        params
    )
    delta = pruning_delta(params, globally(magnitude)(params, 0.4))
    expected = np.zeros(3)
    for (_, part), (_, change) in zip(
        named_leaves(jacobian), named_leaves(delta), strict=True
    ):
        mean_square = np.square(change, dtype=np.float64).mean()
        expected += mean_square * np.square(part).sum(tuple(range(1, part.ndim)))
    found = scorer(4000)(IMAGES, SEEDS)
    # A direction is off by less than √2, so 4,000 of them by 2 %; of the root half.
    np.testing.assert_allclose(-found, np.sqrt(expected), rtol=0.04)
    assert (found < 0).all()


@pytest.mark.slow
def test_the_same_in_any_company():
    call = scorer(2)
    whole = call(IMAGES, SEEDS)  # two and a filled-up one
    turned = call(IMAGES[::-1], SEEDS[::-1])
    alone = call(IMAGES[1:2], SEEDS[:1])  # nor does the image's seed matter
    np.testing.assert_allclose(turned[::-1], whole, rtol=1e-5)
    np.testing.assert_allclose(alone, whole[1:2], rtol=1e-5)
    other = scorer(2, seed=1)(IMAGES, SEEDS)
    assert (np.abs(other / whole - 1) > 1e-3).all()


def test_forwards_are_those_of_the_default():

    assert (
        METHODS["expected-drift"].forwards
        == f"1 + {2 * Draws().expected_drift_directions}"
    )


def test_no_direction():
    with pytest.raises(InputError, match="expected_drift_directions is 0"):
        Draws(expected_drift_directions=0)
