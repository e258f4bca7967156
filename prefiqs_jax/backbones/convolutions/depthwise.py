"""Convolutions of each channel, or of groups of few, with filters of their own.

On a CPU they are sums of shifted products, which XLA fuses into one pass; its grouped
convolution takes 9 times as long there.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


@partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3))
def shifted_depthwise(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Convolve each channel with its own filter as a sum of shifted products.

    Images are (batch, height, width, channels), the kernel is (size, size, 1,
    channels); stride and padding are those of both directions. The result has the
    height ⌊(height + 2 padding - size) / stride⌋ + 1, and such a width.
    """
    size = kernel.shape[0]
    height, width = ((n + 2 * padding - size) // stride + 1 for n in x.shape[1:3])
    edge = (padding, padding)
    padded = jnp.pad(x, ((0, 0), edge, edge, (0, 0)))
    total = None
    for row in range(size):
        for column in range(size):
            window = padded[
                :,
                row : row + (height - 1) * stride + 1 : stride,
                column : column + (width - 1) * stride + 1 : stride,
            ]
            term = window * kernel[row, column][None, None]
            total = term if total is None else total + term
    assert total is not None
    return total


def shifted_groups(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Convolve groups of few channels as one depthwise convolution per member.

    As `shifted_depthwise`, with a kernel (size, size, channels_in / groups,
    channels_out).
    """
    members, channels_out = kernel.shape[2:]
    outputs = channels_out * members // x.shape[-1]  # of each group
    if members == outputs == 1:
        return shifted_depthwise(x, kernel, stride, padding)
    total = None
    for member in range(members):
        # One channel of every group, beside the outputs that it goes into.
        chosen = jnp.repeat(x[..., member::members], outputs, axis=-1)
        filters = kernel[:, :, member : member + 1]
        term = shifted_depthwise(chosen, filters, stride, padding)
        total = term if total is None else total + term
    assert total is not None
    return total
