"""RCE is its formula by hand, and Spearman's correlation as a special case."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import Pairs, all_pairs, rce, threshold_at_fmr


def _sample(seed=0):
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(10), 4)
    noise = 0.3 + 1.5 * rng.random(40)
    embeddings = rng.normal(size=(10, 8))[who] + noise[:, None] * rng.normal(
        size=(40, 8)
    )
    return all_pairs(embeddings, who), noise


def _by_hand(pairs, quality, threshold, alpha):
    images = sorted({*pairs.first.tolist(), *pairs.second.tolist()})
    facts = {}
    for image in images:
        harm, mated, others = 0, [], []
        for i, j, s, is_mated in zip(*pairs, strict=True):
            if image in (i, j):
                harm += s < threshold if is_mated else s >= threshold
                (mated if is_mated else others).append(s)
        facts[image] = (int(harm), max(others) - min(mated))
    harm_rank = {
        image: place + 1
        for place, image in enumerate(sorted(images, key=facts.__getitem__))
    }
    quality_rank = {
        image: place + 1
        for place, image in enumerate(sorted(images, key=lambda i: -quality[i]))
    }
    count, above, below = len(images), 0.0, 0.0
    for image in images:
        weight = (harm_rank[image] / count) ** alpha
        above += weight * (harm_rank[image] - quality_rank[image]) ** 2
        below += weight
    return 1 - 6 * above / ((count**2 - 1) * below), [facts[i] for i in images]


@pytest.mark.parametrize("alpha", [0, 1.5, 3])
@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_formula(alpha, seed):
    pairs, noise = _sample(seed)
    threshold = threshold_at_fmr(pairs.similarity[~pairs.mated], 0.02)
    found = rce(pairs, -noise, fmr=0.02, alpha=alpha)
    value, facts = _by_hand(pairs, -noise, threshold, alpha)
    assert found.value == pytest.approx(value, abs=1e-12)
    np.testing.assert_array_equal(found.harm, [harm for harm, _ in facts])
    np.testing.assert_allclose(found.margin, [margin for _, margin in facts])
    given = rce(pairs, -noise, threshold=threshold, alpha=alpha)
    assert given.value == found.value


@pytest.mark.parametrize("alpha", [0, 3])
@pytest.mark.parametrize("seed", range(4))
def test_the_authors_program_has_mean_ranks_and_the_nearest_threshold(alpha, seed):
    pairs, noise = _sample(seed)
    similarity, fmr = pairs.similarity, 0.021
    others = np.sort(similarity[~pairs.mated])
    rates = [np.mean(others >= t) for t in others]
    threshold = others[np.argmin(np.abs(np.array(rates) - fmr))]
    harm = np.zeros(40)
    for i, j, s, is_mated in zip(*pairs, strict=True):
        wrong = s < threshold if is_mated else s >= threshold
        harm[i] += wrong
        harm[j] += wrong
    harm_rank = np.array(
        [np.mean(1 + np.flatnonzero(np.sort(harm) == h)) for h in harm]
    )
    quality_rank = 1 + np.argsort(np.argsort(noise))
    weight = (harm_rank / 40) ** alpha
    above = 6 * np.sum(weight * (harm_rank - quality_rank) ** 2)
    wanted = 1 - above / ((40**2 - 1) * np.sum(weight))
    found = rce(pairs, -noise, fmr=fmr, alpha=alpha, ties="harm", rule="nearest")
    assert found.threshold == threshold
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.value != rce(pairs, -noise, fmr=fmr, alpha=alpha).value


def test_one_is_the_order_of_harm_and_weights_of_zero_give_spearman():
    pairs, noise = _sample()
    found = rce(pairs, -noise, fmr=0.02)
    assert found.harm.sum() > 0
    badness = found.harm + 1e-3 * np.argsort(np.argsort(found.margin))
    assert found.value == pytest.approx(spearmanr(badness, noise)[0])
    for alpha in (0, 3):
        assert rce(pairs, -badness, fmr=0.02, alpha=alpha).value == pytest.approx(1)
    assert rce(pairs, badness, fmr=0.02).value == pytest.approx(-1)
    for image in (np.exp, lambda q: q**3):
        assert rce(pairs, image(-noise), fmr=0.02).value == found.value


def test_a_random_quality_has_the_mean_that_is_stated():
    pairs, _ = _sample()
    rng = np.random.default_rng(1)
    for alpha, mean in ((0, 0.0), (3, -0.2)):
        values = [
            rce(pairs, rng.random(40), fmr=0.02, alpha=alpha).value for _ in range(300)
        ]
        error = np.std(values) / np.sqrt(len(values))
        assert np.mean(values) == pytest.approx(mean, abs=4 * error + 0.02)


def test_images_without_either_kind_are_the_least_harmful_of_theirs():
    pairs = Pairs(
        np.array([0, 2, 4]),
        np.array([1, 3, 5]),
        np.array([0.9, 0.1, 0.2]),
        np.array([True, False, False]),
    )
    found = rce(pairs, np.arange(6.0), threshold=0.5)
    np.testing.assert_array_equal(found.margin, -np.inf)
    np.testing.assert_array_equal(found.harm, 0)
    # All harm is tied, so each rank is the mean one: 1 - 6 · 17.5 / (35 · 6).
    assert found.value == pytest.approx(0.5)


def test_bad_requests():
    pairs, noise = _sample()
    with pytest.raises(InputError, match="alpha=-1 is below 0"):
        rce(pairs, noise, alpha=-1)
    with pytest.raises(InputError, match=r"image_quality has shape \(39,\)"):
        rce(pairs, noise[1:])
    with pytest.raises(InputError, match="fmr=2 is outside"):
        rce(pairs, noise, fmr=2)
    with pytest.raises(InputError, match="unknown ties 'harms'; did you mean harm"):
        rce(pairs, noise, ties="harms")
    with pytest.raises(InputError, match="unknown rule 'near'; did you mean nearest"):
        rce(pairs, noise, rule="near")
