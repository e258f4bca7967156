"""Layers of face-recognition networks that Flax lacks or has in another form."""

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
    """Normalise by stored statistics, so that no image sees its batch mates."""

    def __init__(self, channels: int, *, epsilon: float = 1e-5, rngs: nnx.Rngs):
        super().__init__(channels, use_running_average=True, epsilon=epsilon, rngs=rngs)


def conv(
    channels_in: int, channels_out: int, size: int, stride: int, *, rngs: nnx.Rngs
) -> nnx.Conv:
    """Make a square convolution padded as PyTorch does it: ``size // 2`` on every side.

    (``SAME`` would pad a strided one on two sides only.)
    """
    return nnx.Conv(
        channels_in,
        channels_out,
        (size, size),
        strides=stride,
        padding=size // 2,
        use_bias=False,
        rngs=rngs,
    )


class DepthwiseConv(nnx.Module):
    """A square convolution of each channel with its own filter, without bias.

    On a CPU it is a sum of shifted products, which XLA fuses into one pass; its grouped
    convolution takes 9 times as long there. Elsewhere it is the grouped convolution.
    """

    def __init__(self, channels: int, size: int, stride: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.lecun_normal()
        shape = (size, size, 1, channels)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.stride = stride

    def __call__(self, x: Array) -> Array:
        kernel = self.kernel[...]
        if jax.default_backend() == "cpu":
            return shifted_depthwise(x, kernel, self.stride)
        pad = kernel.shape[0] // 2
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (self.stride, self.stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )


def shifted_depthwise(x: Array, kernel: Array, stride: int) -> Array:
    """Convolve each channel with its own filter as a sum of shifted products.

    Parameters
    ----------
    x
        Shape (batch, height, width, channels).
    kernel
        Shape (size, size, 1, channels), size odd; the padding is ``size // 2``.
    stride
        Step in both directions.

    Returns
    -------
    Array
        Shape (batch, ⌈height / stride⌉, ⌈width / stride⌉, channels).
    """
    size = kernel.shape[0]
    pad = size // 2
    height, width = (-(-extent // stride) for extent in x.shape[1:3])
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


def dense(layer: nnx.Linear, x: Array) -> Array:
    """Apply a dense layer such that no image's result depends on the batch size.

    For a single row XLA on a CPU takes a matrix-vector product that adds up 50,000
    terms one by one: the drift of a face then moves by 1e-6 against that in a larger
    batch. Two equal rows take the same road as many.
    """
    if x.shape[0] == 1:
        return layer(jnp.concatenate([x, x]))[:1]
    return layer(x)
