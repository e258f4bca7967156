"""The written-out reverse mode of depthwise convolutions is the one that JAX finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.backbones.convolutions.depthwise import shifted_depthwise
from prefiqs_jax.backbones.convolutions.reverse import depthwise_for_reverse


@pytest.mark.slow
@pytest.mark.parametrize(
    ("length", "size", "stride", "padding"),
    [(6, 3, 1, 1), (6, 3, 2, 1), (7, 3, 2, 1), (9, 5, 3, 2), (8, 3, 2, 0)],
)
def test_reverse_mode(length, size, stride, padding):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, length, length + 1, 3)))
    kernel = jnp.asarray(rng.normal(size=(size, size, 1, 3)))

    @jax.jit
    def both(x, kernel, cotangent):
        results = []
        for convolve in (shifted_depthwise, depthwise_for_reverse):
            value, pull = jax.vjp(
                lambda x, k, c=convolve: c(x, k, stride, padding), x, kernel
            )
            results.append((value, *pull(cotangent)))
        return results

    shape = shifted_depthwise(x, kernel, stride, padding).shape
    plain, quick = both(x, kernel, rng.normal(size=shape))
    for expected, found in zip(plain, quick, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
