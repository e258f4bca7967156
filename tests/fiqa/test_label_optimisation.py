"""Optimised labels against the seven published steps, written out pair by pair."""

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.labels.label_optimisation import (
    draw_partners,
    group_images,
    known_codes,
    optimise_labels,
)


def faces(images, identities, seed=0, dim=16):
    """Give qualities that say something, embeddings and identities of simulated faces.

    The worse the image, the further its embedding strays from its person's.
    """
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.arange(images) % identities)
    spoilt = rng.random(images)
    noise = rng.normal(size=(images, dim)) * spoilt[:, None]
    embeddings = rng.normal(size=(identities, dim))[who] + noise
    return rng.random(images) - spoilt, embeddings * 3, who.tolist()


def literally(quality, pairs_of_draws, embeddings, step):
    """Follow steps 2 to 7 with lists and dicts; no identity is unknown."""
    base = sorted(range(len(quality)), key=lambda image: quality[image])
    index = {image: place for place, image in enumerate(base)}
    moved = {image: [] for image in base}
    for pairs in pairs_of_draws:
        with_cosine = []
        for a, b in pairs:
            x, y = embeddings[a], embeddings[b]
            with_cosine.append((a, b, x @ y / np.sqrt((x @ x) * (y @ y))))
        with_cosine.sort(key=lambda pair: pair[2])
        credited = {}
        for place, (a, b, _) in enumerate(with_cosine):
            credited.setdefault(a if index[a] < index[b] else b, []).append(place)
        for image in base:
            own = credited.get(image)
            toward = sum(own) / len(own) if own else index[image]
            moved[image].append(index[image] + step * (toward - index[image]))
    mean = {image: sum(each) / len(each) for image, each in moved.items()}
    result = np.empty(len(quality))
    result[sorted(base, key=lambda image: mean[image])] = np.sort(quality)
    return result


def same_draws(embeddings, who, *, seed, draws, clusters):
    """Draw the pairs of a call of ``optimise_labels``, as images."""
    first, *others = np.random.SeedSequence(seed).spawn(1 + draws)
    codes = known_codes(who, len(who))
    grouping = group_images(embeddings, codes, clusters, np.random.default_rng(first))
    for each in others:
        a, b = draw_partners(grouping, np.random.default_rng(each))
        yield list(zip(grouping.image[a], grouping.image[b], strict=True))


@pytest.mark.parametrize("step", [1e-3, 0.05, 1.0])
@pytest.mark.parametrize(("identities", "clusters"), [(4, 5), (30, 20)])
def test_equals_the_seven_steps(step, identities, clusters):
    quality, embeddings, who = faces(150, identities)
    pairs = same_draws(embeddings, who, seed=3, draws=4, clusters=clusters)
    expected = literally(quality, pairs, embeddings, step)
    found = optimise_labels(
        quality, embeddings, who, seed=3, draws=4, clusters=clusters, step=step
    )
    np.testing.assert_array_equal(found, expected)
    if step > 1e-3:
        assert (found != quality).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_values_stay_bit_for_bit(dtype):
    quality, embeddings, who = faces(300, 10)
    quality = np.round(quality, 1).astype(dtype)  # with ties, and zeros of both signs
    assert len(np.unique(quality)) < 30
    found = optimise_labels(quality, embeddings, who, step=0.3)
    assert found.dtype == dtype
    unsigned = f"u{np.dtype(dtype).itemsize}"
    np.testing.assert_array_equal(
        np.sort(found.view(unsigned)), np.sort(quality.view(unsigned))
    )
    assert (found != quality).any()


def test_a_seed_repeats_it_and_another_draws_anew():
    quality, embeddings, who = faces(200, 5)
    one, again, other = (
        optimise_labels(quality, embeddings, who, seed=seed, step=0.2)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_norms_do_not_matter():
    quality, embeddings, who = faces(120, 4)
    scale = 2.0 ** np.random.default_rng(1).integers(-3, 4, (120, 1))
    np.testing.assert_array_equal(
        optimise_labels(quality, embeddings * scale, who, step=0.2),
        optimise_labels(quality, embeddings, who, step=0.2),
    )


def test_a_random_quality_becomes_one_that_knows_the_bad_images():
    _, embeddings, who = faces(400, 8)
    centre = np.array([embeddings[np.array(who) == w].mean(axis=0) for w in range(8)])
    own = centre[who]
    norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(own, axis=1)
    typical = np.einsum("id,id->i", embeddings, own) / norms
    quality = np.random.default_rng(5).random(400)

    def knows(values):
        return pd.Series(values).corr(pd.Series(typical), method="spearman")

    before = knows(quality)
    after = [
        knows(optimise_labels(quality, embeddings, who, step=step))
        for step in (0.001, 0.05, 1.0)
    ]
    assert abs(before) < 0.15
    assert before < after[0] < after[1] < after[2]
    assert after[2] > 0.5


def test_unknown_identities_keep_their_quality():
    quality, embeddings, who = faces(100, 4)
    hidden = np.arange(0, 100, 7)
    partly = [None if n in hidden else w for n, w in enumerate(who)]
    partly[hidden[0]] = float("nan")
    found = optimise_labels(quality, embeddings, partly, step=0.5)
    np.testing.assert_array_equal(found[hidden], quality[hidden])
    known = np.setdiff1d(np.arange(100), hidden)
    alone = optimise_labels(
        quality[known], embeddings[known], [who[n] for n in known], step=0.5
    )
    np.testing.assert_array_equal(found[known], alone)


def test_each_image_draws_one_of_each_other_cluster():
    _, embeddings, who = faces(200, 5)
    codes = known_codes(who, 200)
    grouping = group_images(embeddings, codes, 6, np.random.default_rng(0))
    label = np.empty(200, int)
    label[grouping.image] = grouping.cluster
    times = np.zeros((200, 200))
    rng = np.random.default_rng(1)
    for _ in range(200):
        first, second = draw_partners(grouping, rng)
        a, b = grouping.image[first], grouping.image[second]
        np.add.at(times, (a, b), 1)
        assert (codes[a] == codes[b]).all()
        assert (label[a] != label[b]).all()
        # One of each: no image draws two of one cluster, nor leaves one out.
        drawn = np.unique(np.stack([a, label[b]]), axis=1)
        others = [len(set(label[codes == codes[n]])) - 1 for n in range(200)]
        assert drawn.shape[1] == len(a) == sum(others)
    for image in range(200):
        sizes = np.bincount(label)[label]
        mates = (codes == codes[image]) & (label != label[image])
        # 200 draws at 1/size each: within 6 standard deviations.
        expected = 200 / sizes[mates]
        spread = np.sqrt(expected * (1 - 1 / sizes[mates]))
        assert (np.abs(times[image][mates] - expected) <= 6 * spread).all()


def test_equal_images_change_nothing():
    same = np.ones((30, 2))
    quality = np.random.default_rng(0).random(30)
    np.testing.assert_array_equal(optimise_labels(quality, same, [0] * 30), quality)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"embeddings": np.zeros((4, 3))}, "embedding of image 0 is zero"),
        ({"embeddings": np.ones((3, 3))}, r"shape \(3, 3\), but must have \(4, dim\)"),
        ({"identities": [0, 1, 2, 3]}, "no identity is known to have two"),
        ({"identities": [None] * 4}, "no identity is known to have two"),
        ({"identities": [0, 0]}, "2 identities for 4 images"),
        ({"quality": [1, 2, np.nan, 3]}, r"quality\[2\] is nan"),
        ({"step": 0}, "step=0"),
        ({"draws": 0}, "draws=0"),
        ({"clusters": 1}, "clusters=1"),
    ],
)
def test_bad_input(change, part):
    arguments = {
        "quality": [1.0, 2, 3, 4],
        "embeddings": np.eye(4),
        "identities": [0, 0, 1, 1],
        **change,
    }
    with pytest.raises(InputError, match=part) as caught:
        optimise_labels(**arguments)
    assert len(str(caught.value).splitlines()) == 1
