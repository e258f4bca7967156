"""Convolutions of each channel, or of groups of few, with filters of their own."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.convolutions.direct import direct


class DepthwiseConv(nnx.Module):
    """A square convolution of each channel with its own filter, without bias.

    On a CPU it is a sum of shifted products, which XLA fuses into one pass; its grouped
    convolution takes 9 times as long there. Elsewhere it is the grouped convolution.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        stride: int,
        *,
        padding: int | None = None,
        rngs: nnx.Rngs,
    ):
        init = nnx.initializers.lecun_normal()
        shape = (size, size, 1, channels)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.stride = stride
        self.padding = size // 2 if padding is None else padding

    def __call__(self, x: Array) -> Array:
        kernel, pad = self.kernel[...], self.padding
        if jax.default_backend() == "cpu":
            return shifted_depthwise(x, kernel, self.stride, pad)
        return direct(x, kernel, self.stride, pad)


def shifted_depthwise(
    x: Array, kernel: Array, stride: int, padding: int | None = None
) -> Array:
    """Convolve each channel with its own filter as a sum of shifted products.

    Parameters
    ----------
    x
        Shape (batch, height, width, channels).
    kernel
        Shape (size, size, 1, channels).
    stride
        Step in both directions.
    padding
        Zeros on every side; ``size // 2`` if None.

    Returns
    -------
    Array
        Shape (batch, ⌊(height + 2 padding - size) / stride⌋ + 1, the same of the
        width, channels).
    """
    pad = kernel.shape[0] // 2 if padding is None else padding
    return _products(x, kernel, stride, pad)


@partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3))
def _products(x: Array, kernel: Array, stride: int, padding: int) -> Array:
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

    Parameters
    ----------
    x
        Shape (batch, height, width, channels_in).
    kernel
        Shape (size, size, channels_in / groups, channels_out).
    stride, padding
        In both directions.
    """
    members, channels_out = kernel.shape[2:]
    outputs = channels_out * members // x.shape[-1]  # of each group
    total = None
    for member in range(members):
        # One channel of every group, beside the outputs that it goes into.
        chosen = jnp.repeat(x[..., member::members], outputs, axis=-1)
        filters = kernel[:, :, member : member + 1]
        term = shifted_depthwise(chosen, filters, stride, padding)
        total = term if total is None else total + term
    assert total is not None
    return total
