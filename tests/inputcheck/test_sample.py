"""Images are taken evenly, and a person's together."""

from pathlib import Path

import numpy as np

from prefiqs_jax.images import ImageFolder
from prefiqs_jax.inputcheck.compare import sample


def folder(identities):
    names = tuple(f"{index:05}.png" for index in range(len(identities)))
    return ImageFolder(Path(), names, tuple(identities), None, ())


def test_all_if_they_are_few():
    who = [f"p{index // 2}" for index in range(20)]
    assert sample(folder(who), 300).tolist() == list(range(20))


def test_people_stay_whole():
    rng = np.random.default_rng(0)
    who = np.repeat([f"p{index:03}" for index in range(90)], rng.integers(1, 7, 90))
    chosen = sample(folder(who.tolist()), 100)
    assert 60 < len(chosen) <= 100
    for person in set(who[chosen]):
        assert (who[chosen] == person).sum() == (who == person).sum() > 1
    ranks = [int(person[1:]) for person in who[chosen]]
    assert min(ranks) < 10  # from the first
    assert max(ranks) > 80  # to the last


def test_people_with_one_picture_are_left_out():
    who = [f"single{index}" for index in range(50)] + ["a", "b", "c", "d", "e"] * 3
    assert sample(folder(who), 40).tolist() == list(range(50, 65))


def test_few_people_with_many_pictures():
    who = [f"p{index // 1000}" for index in range(6000)]
    chosen = sample(folder(who), 50)
    assert len(chosen) == len(set(chosen)) == 50
    assert len({who[index] for index in chosen}) == 5


def test_unknown_people():
    chosen = sample(folder([None] * 1000), 11)
    assert chosen.tolist() == np.linspace(0, 999, 11).astype(int).tolist()


def test_one_picture():
    assert sample(folder([None]), 300).tolist() == [0]
