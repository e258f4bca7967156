"""What a loaded network says of itself, and takes for images."""

import html
import importlib.resources
import re

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax import load_backbone
from prefiqs_jax.errors import InputError


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("demo")


def test_it_is_short(backbone):
    said = repr(backbone)
    assert len(said) < 200
    assert "\n" not in said
    assert "demo" in said
    count = re.search(r"([\d,]+) weights", said)
    assert count
    sizes = [np.size(w) for part in backbone.params.values() for w in leaves(part)]
    assert int(count[1].replace(",", "")) == sum(sizes)
    assert html.escape(said) in backbone._repr_html_()


def leaves(tree):
    if not isinstance(tree, dict):
        return [tree]
    return [leaf for part in tree.values() for leaf in leaves(part)]


def test_images_of_all_kinds(backbone):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 112, 112, 3), np.uint8)
    pictures = [Image.fromarray(each) for each in pixels]
    expected = backbone.preprocess(pixels)
    for given in (pictures, list(pixels), [pictures[0], pixels[1]], tuple(pixels)):
        np.testing.assert_array_equal(backbone.preprocess(given), expected)
    for one in (pictures[0], pixels[0]):
        np.testing.assert_array_equal(backbone.preprocess(one), expected[:1])
    grey = pictures[0].convert("L")
    np.testing.assert_array_equal(
        backbone.preprocess(grey), backbone.preprocess(grey.convert("RGB"))
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "none"),
        (np.zeros((112, 112), np.uint8), r"shape \(112, 112\)"),
        (np.zeros((112, 112, 3), np.float32), "float32"),
        (np.zeros((2, 112, 112, 3), np.float32), "float32"),
        (["a.png"], "give uint8 RGB"),
        ([np.zeros((n, 4, 3), np.uint8) for n in (4, 5)], "several sizes"),
        (Image.new("F", (112, 112)), "colour mode F"),
    ],
)
def test_what_is_no_image(backbone, given, told):
    with pytest.raises(InputError, match=told):
        backbone.preprocess(given)


def test_type_checkers_see_the_types():
    assert (importlib.resources.files("prefiqs_jax") / "py.typed").is_file()
