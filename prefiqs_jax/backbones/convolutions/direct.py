"""Convolutions as the compiler does them."""

import jax
from jax import Array


def direct(x: Array, kernel: Array, stride: int = 1, padding: int = 1) -> Array:
    """Convolve by XLA's own operation.

    Parameters
    ----------
    x
        Shape (batch, height, width, channels_in).
    kernel
        Shape (size, size, channels_in / groups, channels_out).
    stride, padding
        In both directions.
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[-2],
    )
