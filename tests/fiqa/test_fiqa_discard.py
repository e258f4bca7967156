"""Discarding images takes the comparisons that it should, and counts both."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    all_pairs,
    edc,
    false_non_matches_removed,
    fnmr_at,
    pair_quality,
    threshold_at_fmr,
)


def _pairs(identities=40, each=5, dim=16, seed=0):
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(identities), each)
    noise = 0.3 + 1.5 * rng.random(len(who)) ** 3  # most images are clean
    embeddings = rng.normal(size=(identities, dim))[who]
    embeddings = embeddings + noise[:, None] * rng.normal(size=embeddings.shape)
    return all_pairs(embeddings, who), who, -noise


def test_a_comparison_is_as_good_as_its_worse_image():
    pairs, _, quality = _pairs(3, 2)
    both = zip(pairs.first, pairs.second, strict=True)
    wanted = [min(quality[i], quality[j]) for i, j in both]
    np.testing.assert_array_equal(pair_quality(quality, pairs), wanted)


@pytest.mark.parametrize("fraction", [0, 0.005, 0.1, 0.29, 0.5, 0.99])
@pytest.mark.parametrize("digits", [0, 1, 12])
def test_removed_errors_by_hand(fraction, digits):
    pairs, who, quality = _pairs()
    quality = np.round(quality, digits)
    found = false_non_matches_removed(pairs, quality, fraction, fmr=0.02)
    threshold = threshold_at_fmr(pairs.similarity[~pairs.mated], 0.02)

    worst_first = sorted(range(len(who)), key=lambda i: quality[i])
    count = max(k for k in range(len(who)) if k / len(who) <= fraction)
    cut = quality[worst_first[count]]
    gone = {i for i in worst_first[:count] if quality[i] < cut}
    errors, errors_left, mated_left = 0, 0, 0
    for i, j, similarity, mated in zip(*pairs, strict=True):
        if mated:
            stays = i not in gone and j not in gone
            errors += similarity < threshold
            errors_left += stays and similarity < threshold
            mated_left += stays
    assert found.threshold == threshold
    assert (found.before_count, found.after_count) == (errors, errors_left)
    assert found.mated_before_count == pairs.mated.sum()
    assert found.mated_after_count == mated_left
    assert found.discarded_image_count == len(gone)
    assert found.removed_fraction == pytest.approx(1 - errors_left / errors)
    assert found.fnmr_before == fnmr_at(pairs.similarity[pairs.mated], threshold)
    if mated_left:
        assert found.fnmr_after == pytest.approx(errors_left / mated_left)
    else:
        assert np.isnan(found.fnmr_after)


def test_a_random_quality_removes_what_chance_does():
    pairs, who, _ = _pairs()
    rng = np.random.default_rng(1)
    found = [
        false_non_matches_removed(pairs, rng.random(len(who)), 0.2, fmr=0.02)
        for _ in range(300)
    ]
    removed = [one.removed_fraction for one in found]
    after = [one.fnmr_after for one in found]
    chance = 1 - (160 * 159) / (200 * 199)
    assert chance == pytest.approx(1 - 0.8**2, abs=1e-3)
    error = 4 * np.std(removed) / np.sqrt(300)
    assert np.mean(removed) == pytest.approx(chance, abs=error)
    error = 4 * np.std(after) / np.sqrt(300)
    assert np.mean(after) == pytest.approx(found[0].fnmr_before, abs=error)


def test_a_quality_that_knows_the_noise_beats_chance():
    pairs, _, quality = _pairs()
    found = false_non_matches_removed(pairs, quality, 0.2, fmr=0.02)
    assert found.removed_fraction > 0.7
    assert found.fnmr_after < found.fnmr_before


def test_images_without_comparison_do_not_count():
    pairs, _, quality = _pairs()
    wider = np.concatenate([quality, np.full(300, np.nan)])
    assert false_non_matches_removed(pairs, wider, 0.3) == false_non_matches_removed(
        pairs, quality, 0.3
    )


def test_no_errors_no_fraction():
    pairs = all_pairs([[1.0, 0], [1, 0], [0, 1], [0, 1]], list("aabb"))
    found = false_non_matches_removed(pairs, [1, 2, 3, 4], 0.3)
    assert found.before_count == 0
    assert np.isnan(found.removed_fraction)


def test_curve_and_count_agree_where_they_meet():
    # Without discard, and where the images discarded are whole identities.
    pairs, who, _ = _pairs()
    found = false_non_matches_removed(pairs, who, 0.25, fmr=0.02)
    curve = edc(
        pairs.similarity,
        pairs.mated,
        pair_quality(who, pairs),
        fmr=0.02,
        protocol="fiqat",
    )
    assert found.fnmr_before == curve.fnmr[0]
    place = np.searchsorted(curve.discard_fraction, 0.25)
    assert curve.discard_fraction[place] == 0.25
    assert found.fnmr_after == curve.fnmr[place]


def test_bad_qualities_and_fractions():
    pairs, _, quality = _pairs()
    bad = quality.copy()
    bad[5] = np.nan
    with pytest.raises(InputError, match=r"image_quality\[5\] is nan"):
        pair_quality(bad, pairs)
    with pytest.raises(InputError, match=r"shape \(199,\), .* up to index 199"):
        pair_quality(quality[:-1], pairs)
    for fraction in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=f"fraction={fraction} of images"):
            false_non_matches_removed(pairs, quality, fraction)
