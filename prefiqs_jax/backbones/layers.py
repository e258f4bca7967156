"""Layers of face-recognition networks that Flax lacks or has in another form."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array


class PReLU(nnx.Module):
    """x where positive, a·x elsewhere, with one slope a per channel.

    (Flax's own PReLU has a single slope.) Slopes may be negative or above 1, so this is
    no maximum. The derivative at 0 is a, as in PyTorch.
    """

    def __init__(self, channels: int):
        self.slope = nnx.Param(jnp.full((channels,), 0.25, jnp.float32))

    def __call__(self, x: Array) -> Array:
        slope = self.slope[...].reshape((1,) * (x.ndim - 1) + (-1,))
        return jnp.where(x > 0, x, slope * x)


class BatchNorm(nnx.BatchNorm):
    """Normalise by stored statistics, so that no image sees its batch mates.

    Without `affine` there is neither scale nor bias, as in PyTorch.
    """

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-5,
        affine: bool = True,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            channels,
            use_running_average=True,
            epsilon=epsilon,
            use_scale=affine,
            use_bias=affine,
            rngs=rngs,
        )


class Conv(nnx.Module):
    """A square convolution, padded by the same number of pixels on every side.

    ``kernel`` is (size, size, channels_in / groups, channels_out); ``bias`` is there
    only if asked for.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        stride: int,
        *,
        padding: int,
        groups: int,
        bias: bool,
        rngs: nnx.Rngs,
    ):
        init = nnx.initializers.lecun_normal()
        shape = (size, size, channels_in // groups, channels_out)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        if bias:
            self.bias = nnx.Param(jnp.zeros((channels_out,), jnp.float32))
        self.has_bias = bias
        self.stride = stride
        self.padding = padding
        self.groups = groups

    def __call__(self, x: Array) -> Array:
        y = jax.lax.conv_general_dilated(
            x,
            self.kernel[...],
            (self.stride, self.stride),
            ((self.padding, self.padding), (self.padding, self.padding)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )
        return y + self.bias[...][None, None, None] if self.has_bias else y


def conv(
    channels_in: int,
    channels_out: int,
    size: int,
    stride: int,
    *,
    padding: int | None = None,
    groups: int = 1,
    bias: bool = False,
    rngs: nnx.Rngs,
) -> Conv:
    """Make a square convolution padded as PyTorch does it.

    Parameters
    ----------
    channels_in, channels_out
        Must be multiples of ``groups``.
    size, stride
        Of the filters, in both directions.
    padding
        Zeros on every side; ``size // 2`` if None. (``SAME`` would pad a strided one
        on two sides only.)
    groups
        Channels of one group see no other's.
    bias
        Whether a constant for each channel is added.
    rngs
        Draws the filters.
    """
    return Conv(
        channels_in,
        channels_out,
        size,
        stride,
        padding=size // 2 if padding is None else padding,
        groups=groups,
        bias=bias,
        rngs=rngs,
    )


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
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (self.stride, self.stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )


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
    size = kernel.shape[0]
    pad = size // 2 if padding is None else padding
    height, width = ((n + 2 * pad - size) // stride + 1 for n in x.shape[1:3])
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
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


def per_image(x: Array) -> Array:
    """Flatten each image to one row, in NHWC order."""
    return x.reshape(x.shape[0], -1)


def dense(layer: Callable[[Array], Array], x: Array) -> Array:
    """Apply a dense layer such that no image's result depends on the batch size.

    For a single row XLA on a CPU takes a matrix-vector product that adds up 50,000
    terms one by one: the drift of a face then moves by 1e-6 against that in a larger
    batch. Two equal rows take the same road as many.
    """
    if x.shape[0] == 1:
        return layer(jnp.concatenate([x, x]))[:1]
    return layer(x)
