"""Pooled templates are the means and sums of three loops."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import Members, pool_templates, template_quality


def _members(seed=0):
    """Give images that are in several templates, out of order, from shared media."""
    rng = np.random.default_rng(seed)
    template = np.concatenate([np.arange(9), rng.integers(0, 9, 60)])
    image = rng.integers(0, 30, len(template))
    medium = image // 4  # an image is of one medium, in every template
    order = rng.permutation(len(template))
    return Members(image[order], template[order], medium[order])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_pooling_is_mean_per_medium_then_sum(seed, dtype):
    members = _members(seed)
    embeddings = np.random.default_rng(seed).normal(size=(30, 6)).astype(dtype)
    found = pool_templates(embeddings, members)
    assert found.dtype == dtype
    for number in range(9):
        pooled = np.zeros(6)
        mine = members.template == number
        for medium in set(members.medium[mine].tolist()):
            rows = members.image[mine & (members.medium == medium)]
            pooled += np.mean([embeddings[row].astype(float) for row in rows], axis=0)
        pooled /= np.linalg.norm(pooled)
        tolerance = 1e-14 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(found[number], pooled, atol=tolerance)


def test_one_template_per_image_is_the_image():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(7, 4))
    each = np.arange(7)
    found = pool_templates(embeddings, Members(each, each, each * 0))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(found, unit, atol=1e-15)


@pytest.mark.parametrize(
    ("pooling", "function"), [("min", min), ("max", max), ("mean", np.mean)]
)
def test_template_quality_is_that_of_its_images(pooling, function):
    members = _members()
    quality = np.random.default_rng(3).normal(size=30)
    found = template_quality(quality, members, pooling)
    for number in range(9):
        values = [quality[i] for i in members.image[members.template == number]]
        assert found[number] == pytest.approx(function(values), abs=1e-15)


def test_what_is_no_template():
    embeddings, quality = np.eye(4), np.arange(4.0)
    for members, message in (
        (([0, 4], [0, 0], [0, 0]), "has image 4, but there are images 0 to 3"),
        (([0, -1], [0, 0], [0, 0]), "has image -1, but there are images 0 to 3"),
        (([0, 1], [0, 2], [0, 0]), "template 1 has no image"),
        (([0, 1], [-1, 0], [0, 0]), "template -1 is below 0"),
        (([0, 1], [0], [0, 0]), "three lists of whole numbers of one length"),
        (([], [], []), "three lists of whole numbers of one length"),
    ):
        broken = Members(*(np.array(part, np.intp) for part in members))
        for call in (
            lambda m=broken: pool_templates(embeddings, m),
            lambda m=broken: template_quality(quality, m),
        ):
            with pytest.raises(InputError, match=message):
                call()
    good = Members(*(np.array(part) for part in ([0, 1], [0, 0], [0, 1])))
    with pytest.raises(InputError, match="embedding of template 0 is zero"):
        pool_templates(np.array([[1.0], [-1.0]]), good)
    with pytest.raises(InputError, match=r"image_quality\[1\] is nan"):
        template_quality([0.1, np.nan], good)
    with pytest.raises(InputError, match=r"unknown pooling 'median'; .*known: min"):
        template_quality(quality, good, "median")
