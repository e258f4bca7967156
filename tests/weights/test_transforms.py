import numpy as np
import pytest

from prefiqs_jax.weights import transforms

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (transforms.conv_kernel, (4, 3, 5, 2)),
        (transforms.linear_kernel, (4, 3)),
        (transforms.flatten_kernel(2, 3, 4), (5, 24)),
    ],
)
def test_values_stay_and_memory_is_in_order(transform, shape):
    weight = RNG.normal(size=shape).astype(np.float32)
    result = transform(weight)
    assert result.flags.c_contiguous
    assert result.dtype == weight.dtype
    np.testing.assert_array_equal(
        np.sort(result, axis=None), np.sort(weight, axis=None)
    )


def test_layouts():
    weight = RNG.normal(size=(4, 3, 5, 2))
    assert transforms.conv_kernel(weight)[1, 0, 2, 3] == weight[3, 2, 1, 0]
    weight = RNG.normal(size=(4, 1, 3, 2))
    assert transforms.conv_kernel(weight)[2, 1, 0, 3] == weight[3, 0, 2, 1]
    weight = RNG.normal(size=(4, 3))
    assert transforms.linear_kernel(weight)[2, 3] == weight[3, 2]


def test_a_linear_layer_behind_a_flatten_gives_the_same():
    maps = RNG.normal(size=(6, 2, 3, 4))
    weight = RNG.normal(size=(5, 24))
    kernel = transforms.flatten_kernel(2, 3, 4)(weight)
    channels_last = maps.transpose(0, 2, 3, 1).reshape(6, -1)
    np.testing.assert_allclose(channels_last @ kernel, maps.reshape(6, -1) @ weight.T)
