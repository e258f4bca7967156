"""Faces of the 112 wide template serve a network of the 96 wide one."""

import numpy as np
import pytest

from prefiqs_jax.images import encode_png, read_folder
from prefiqs_jax.images.loading import load_batches
from prefiqs_jax.images.opening import BadImage


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 112, 112, 3), np.uint8)
    for index, picture in enumerate(pixels):
        (tmp_path / f"{index}.png").write_bytes(encode_png(picture))
    return tmp_path, pixels


def load(folder, height, width):
    return list(
        load_batches(read_folder(folder), height=height, width=width, batch_size=2)
    )


def test_the_middle_is_what_the_network_sees(pictures):
    folder, pixels = pictures
    (batch,) = load(folder, 112, 96)
    # arcface_dst is the 96 wide template with 8 added to every x.
    np.testing.assert_array_equal(batch.pixels, pixels[:, :, 8:104])
    assert list(batch.conversions) == ["cut to the 96 wide template"]


@pytest.mark.parametrize("size", [(112, 100), (96, 96), (112, 224), (224, 96)])
def test_no_other_size_is_cut(pictures, size):
    folder, _ = pictures
    with pytest.raises(BadImage, match="align it first"):
        load(folder, *size)
