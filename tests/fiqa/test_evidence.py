"""Errors of few people, or of few images where nobody says who is on them."""

import itertools

import numpy as np
import pytest

from prefiqs_jax.fiqa import Pairs, edc, error_evidence


def _evidence(fail, images, identities=None):
    """Let these mated comparisons fail, beside those of a chain, which match."""
    good = [(place, place + 1) for place in range(images - 1)]
    first, second = np.array([*fail, *good, (0, images)]).T
    similarity = np.repeat([0.0, 1.0, 0.1], [len(fail), len(good), 1])
    mated = np.arange(len(first)) < len(first) - 1
    pairs = Pairs(first, second, similarity, mated)
    quality = np.ones(len(first))
    curve = edc(similarity, mated, quality, threshold=0.5, protocol="fiqat")
    return error_evidence(pairs, identities, curve)


@pytest.mark.parametrize("bad", [1, 2, 3, 4])
def test_all_errors_of_few_images_tell_nothing(bad):
    fail = [(one, other) for one in range(bad) for other in range(10, 22)]
    found = _evidence(fail, 30)
    assert (found.errors, found.unit) == (12 * bad, "image")
    assert found.units == bad
    assert found.tells == (bad >= 3)


def test_errors_of_images_that_share_none_are_of_as_many():
    found = _evidence([(2 * place, 2 * place + 1) for place in range(11)], 30)
    assert found.units == 11
    assert found.tells


@pytest.mark.parametrize("seed", range(30))
def test_the_fewest_images_are_those_of_a_search(seed):
    rng = np.random.default_rng(seed)
    every = np.array(list(itertools.combinations(range(7), 2)))
    fail = every[rng.permutation(len(every))[: rng.integers(1, 9)]]
    fewest = next(
        count
        for count in range(8)
        for chosen in itertools.combinations(range(7), count)
        if np.isin(fail, chosen).any(axis=1).all()
    )
    found = _evidence(fail.tolist(), 9).units
    assert found == fewest if fewest <= 3 else 3 <= found <= fewest


def test_errors_of_known_people_are_theirs():
    fail = [(0, other) for other in range(1, 13)]
    found = _evidence(fail, 13, [*["ann"] * 13, "bob"])
    assert (found.unit, found.units, found.tells) == ("identity", 1, False)
