"""Cosines of listed comparisons are those of one loop, in any block and thread."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.threads import in_threads
from prefiqs_jax.fiqa import pair_similarity, unit_embeddings
from prefiqs_jax.fiqa.verification import similarity


def _listed(images=40, count=500, dim=16, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(images, dim)) * rng.lognormal(size=(images, 1))
    return embeddings, rng.integers(0, images, count), rng.integers(0, images, count)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("numbers", [1, 200, 2**16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_listed_cosines_are_those_of_a_loop(monkeypatch, threads, numbers, dtype):
    monkeypatch.setattr(similarity, "_BLOCK_NUMBERS", numbers)
    monkeypatch.setattr(similarity, "_SHARE", 90)
    monkeypatch.setattr(similarity, "_CACHE_BYTES", 0 if numbers > 1 else 2**24)
    embeddings, first, second = _listed()
    unit = unit_embeddings(embeddings, dtype=dtype)
    found = pair_similarity(unit, first, second.astype(np.int32), threads=threads)
    assert unit.dtype == found.dtype == dtype
    tolerance = 1e-14 if dtype == np.float64 else 1e-6
    for row, (i, j) in enumerate(zip(first, second, strict=True)):
        a, b = embeddings[i], embeddings[j]
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        assert found[row] == pytest.approx(cosine, abs=tolerance)


def test_mirrored_halves_give_the_mean_of_two_cosines():
    embeddings, first, second = _listed()
    mirrored = _listed(seed=1)[0]
    joined = unit_embeddings(embeddings, mirrored, dtype=np.float64)
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, atol=1e-14)
    halves = [
        pair_similarity(unit_embeddings(part, dtype=np.float64), first, second)
        for part in (embeddings, mirrored)
    ]
    found = pair_similarity(joined, first, second)
    np.testing.assert_allclose(found, np.mean(halves, axis=0), atol=1e-14)


def test_tiny_and_huge_norms_do_not_matter():
    embeddings, first, _ = _listed()
    scale = np.logspace(-300, 300, len(embeddings))[:, None]
    plain, scaled = (
        unit_embeddings(part, dtype=np.float64)
        for part in (embeddings, embeddings * scale)
    )
    np.testing.assert_allclose(plain, scaled, atol=1e-14)
    assert pair_similarity(plain, first[:1], first[:1]) == pytest.approx(1)


def test_embeddings_that_cannot_be_scaled():
    rows = np.ones((5, 3))
    for value, found in ((0, "zero"), (np.nan, "not finite"), (np.inf, "not finite")):
        odd = rows.copy()
        odd[3] = value
        with pytest.raises(InputError, match=f"^embedding of image 3 is {found}"):
            unit_embeddings(odd)
        with pytest.raises(
            InputError, match=f"flipped embedding of image 3 is {found}"
        ):
            unit_embeddings(rows, odd)
    with pytest.raises(InputError, match=r"flipped has shape \(4, 3\)"):
        unit_embeddings(rows, rows[1:])
    with pytest.raises(InputError, match=r"embeddings have shape \(3,\)"):
        unit_embeddings(rows[0])


def test_comparisons_of_images_that_do_not_exist():
    unit = unit_embeddings(np.eye(4))
    for first, second, message in (
        ([0, 4], [1, 2], "first has row 4, but there are embeddings 0 to 3"),
        ([0, 1], [1, -1], "second has row -1, but there are embeddings 0 to 3"),
        ([0, 1], [1], "first has 2 comparisons, second 1"),
        ([], [], "first must list whole numbers"),
        ([0.5], [1], "first must list whole numbers"),
    ):
        with pytest.raises(InputError, match=message):
            pair_similarity(unit, first, second)


def test_an_error_in_a_thread_is_not_lost():
    def fail(item):
        if item == 7:
            message = "seven"
            raise InputError(message)
        return item

    with pytest.raises(InputError, match="seven"):
        in_threads(fail, range(10), threads=3)
