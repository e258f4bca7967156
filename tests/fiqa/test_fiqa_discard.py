"""The quality of a comparison is that of its worse image."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import all_pairs, pair_quality


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


def test_images_without_comparison_do_not_count():
    pairs, _, quality = _pairs()
    wider = np.concatenate([quality, np.full(300, np.nan)])
    found = pair_quality(wider, pairs)
    np.testing.assert_array_equal(found, pair_quality(quality, pairs))


def test_bad_qualities():
    pairs, _, quality = _pairs()
    bad = quality.copy()
    bad[5] = np.nan
    with pytest.raises(InputError, match=r"image_quality\[5\] is nan"):
        pair_quality(bad, pairs)
    with pytest.raises(InputError, match=r"shape \(199,\), .* up to index 199"):
        pair_quality(quality[:-1], pairs)
