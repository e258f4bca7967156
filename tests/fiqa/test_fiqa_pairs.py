"""Comparisons are those of two loops, and what cannot be compared is named."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import all_pairs
from prefiqs_jax.fiqa.verification import pairs


def _images(count=23, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dim)), rng.integers(0, 6, count)


@pytest.mark.parametrize("block_numbers", [1, 70, 10**6])
def test_pairs_are_those_of_two_loops(monkeypatch, block_numbers):
    monkeypatch.setattr(pairs, "_BLOCK_NUMBERS", block_numbers)
    embeddings, identities = _images()
    found = all_pairs(embeddings, identities)
    at = 0
    for i in range(len(embeddings)):
        for j in range(i + 1, len(embeddings)):
            a, b = embeddings[i], embeddings[j]
            cosine = a @ b / np.sqrt((a @ a) * (b @ b))
            assert (found.first[at], found.second[at]) == (i, j)
            assert found.similarity[at] == pytest.approx(cosine, abs=1e-14)
            assert found.mated[at] == (identities[i] == identities[j])
            at += 1
    assert at == len(found.first) == len(found.similarity)


def test_norms_do_not_matter():
    embeddings, identities = _images()
    scale = np.logspace(-200, 200, len(embeddings))[:, None]
    plain, scaled = (all_pairs(e, identities) for e in (embeddings, embeddings * scale))
    np.testing.assert_allclose(plain.similarity, scaled.similarity, atol=1e-14)


def test_single_precision_embeddings_are_compared_in_double():
    embeddings, identities = _images()
    single = embeddings.astype(np.float32)
    found = all_pairs(single, identities).similarity
    wanted = all_pairs(single.astype(np.float64), identities).similarity
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, wanted)


def test_chosen_images_keep_their_indices():
    embeddings, identities = _images()
    whole = all_pairs(embeddings, identities)
    chosen = [20, 3, 7, 11, 2, 15, 8]
    part = all_pairs(embeddings, identities, chosen=chosen)
    inside = np.isin(whole.first, chosen) & np.isin(whole.second, chosen)
    np.testing.assert_array_equal(part.first, whole.first[inside])
    np.testing.assert_array_equal(part.second, whole.second[inside])
    np.testing.assert_array_equal(part.mated, whole.mated[inside])
    np.testing.assert_allclose(part.similarity, whole.similarity[inside], atol=1e-14)


def test_names_and_numbers_are_identities_alike():
    embeddings, identities = _images()
    names = np.array([f"person {i}" for i in identities], object)
    np.testing.assert_array_equal(
        all_pairs(embeddings, identities).mated, all_pairs(embeddings, names).mated
    )


SQUARE = np.eye(4)


def _square(row, value):
    changed = SQUARE.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("embeddings", "identities", "chosen", "message"),
    [
        (_square(2, 0), "aabb", None, "embedding of image 2 is zero"),
        (
            _square(1, np.nan),
            "aabb",
            [0, 1, 2],
            "embedding of image 1 is not finite",
        ),
        (
            _square(3, np.inf),
            "aabb",
            None,
            "embedding of image 3 is not finite",
        ),
        (SQUARE, "aaaa", None, "4 images show 1 identity"),
        (SQUARE, "abcd", None, "each of 4 images shows another identity"),
        (SQUARE, "aab", None, r"identities have shape \(3,\), but must have \(4,\)"),
        (SQUARE, [0, None, 1, 1], None, "identity of image 1 is missing"),
        (SQUARE, [0, 1, 1, np.nan], None, "identity of image 3 is missing"),
        (SQUARE[0], "aabb", None, r"embeddings have shape \(4,\)"),
        (SQUARE, "aabb", [0, 1, 4], "chosen image 4 is outside 0 to 3"),
        (SQUARE, "aabb", [0, -1], "chosen image -1 is outside 0 to 3"),
        (SQUARE, "aabb", [2, 0, 1, 2], "image 2 is chosen twice"),
        (SQUARE, "aabb", [True, False, True, True], "a list of image indices"),
        (SQUARE, "aabb", [], "a list of image indices"),
    ],
)
def test_what_cannot_be_compared(embeddings, identities, chosen, message):
    with pytest.raises(InputError, match=message) as caught:
        all_pairs(embeddings, list(identities), chosen=chosen)
    assert "\n" not in str(caught.value)


def test_mirrored_embeddings_give_the_mean_of_two_cosines():
    embeddings, identities = _images()
    mirrored = _images(seed=1)[0]
    halves = [all_pairs(e, identities).similarity for e in (embeddings, mirrored)]
    found = all_pairs(embeddings, identities, flipped=mirrored, chosen=np.arange(23))
    np.testing.assert_allclose(found.similarity, np.mean(halves, axis=0), atol=1e-14)
    with pytest.raises(InputError, match=r"flipped has shape \(22, 5\)"):
        all_pairs(embeddings, identities, flipped=mirrored[1:])


def test_single_precision_is_for_more_images():
    embeddings, identities = _images()
    double = all_pairs(embeddings, identities)
    single = all_pairs(embeddings, identities, dtype=np.float32)
    assert single.similarity.dtype == np.float32
    assert sum(column.nbytes for column in single) == 13 * len(single.first)
    np.testing.assert_allclose(single.similarity, double.similarity, atol=3e-7)
    for one, other in zip(single[:2], double[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(single.mated, double.mated)


def test_too_many_images_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(pairs, "MOST_IMAGES", 3)
    with pytest.raises(InputError, match=r"4 images make 6 comparisons; .* at most 3"):
        all_pairs(SQUARE, list("aabb"))
    assert len(all_pairs(SQUARE, list("aabb"), dtype=np.float32).first) == 6
    monkeypatch.setattr(pairs, "MOST_IMAGES_SINGLE", 3)
    with pytest.raises(InputError, match=r"or 3 with dtype=np\.float32"):
        all_pairs(SQUARE, list("aabb"), dtype=np.float32)
    monkeypatch.undo()
    monkeypatch.setattr(pairs, "MOST_IMAGES", 3)
    assert len(all_pairs(SQUARE, list("aabb"), chosen=[0, 1, 2]).first) == 3
