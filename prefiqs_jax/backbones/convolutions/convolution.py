"""Convolutions that take the fastest way for their shapes."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.convolutions.depthwise import shifted_groups
from prefiqs_jax.backbones.convolutions.winograd import winograd
from prefiqs_jax.execution.jaxprs import PLAIN

WINOGRAD_CHANNELS = 128
WINOGRAD_EXTENT = 14
SMALL_GROUP = 4


class Conv(nnx.Module):
    """A square convolution, padded by the same number of pixels on every side.

    Parameters
    ----------
    channels_in, channels_out
        Multiples of ``groups``; ``kernel`` is (size, size, channels_in / groups,
        channels_out).
    size, stride
        Side of the filters and their step, in both directions.
    padding
        Zeros on every side; ``size // 2`` if None, as in PyTorch. (``SAME`` would pad a
        strided one on two sides only.)
    groups
        Channels of one group see no other's.
    bias
        Whether ``bias`` (channels_out,) is there, and added.
    rngs
        Draws the filters.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        stride: int,
        *,
        padding: int | None = None,
        groups: int = 1,
        bias: bool = False,
        rngs: nnx.Rngs,
    ):
        init = nnx.initializers.lecun_normal()
        shape = (size, size, channels_in // groups, channels_out)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        if bias:
            self.bias = nnx.Param(jnp.zeros((channels_out,), jnp.float32))
        self.has_bias = bias
        self.stride = stride
        self.padding = size // 2 if padding is None else padding
        self.groups = groups
        self.is_depthwise = groups == channels_in == channels_out

    def __call__(self, x: Array) -> Array:
        y = convolve(x, self.kernel[...], self.stride, self.padding)
        return y + self.bias[...][None, None, None] if self.has_bias else y


conv = Conv


def convolve(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Convolve in the way that is fastest for these shapes on this backend.

    Only a CPU has a choice; it was measured on 16 images in float32, in GFLOP/s of a
    direct convolution by one core of about 115 (AVX-512): 3×3 at 14×14×256 direct 100,
    Winograd 183; at 28×28×128 102 and 166; but at 56×56×64 87 and 52, where the
    transforms, which grow with the pixels, outweigh the products; at 7×7×512 100 and
    72, where the tiles hang over the edge. A 1×1 convolution of every other pixel is
    1.7 times as fast if the pixels are taken first. Groups of two channels (3×3 at
    56×56×128) take 439 ms as XLA's grouped convolution, 48 ms as shifted products.

    Images are (batch, height, width, channels_in), kernels (size, size, channels_in /
    groups, channels_out); stride and padding are those of both directions.
    """
    if jax.default_backend() != "cpu":
        return direct(x, kernel, stride, padding)
    if kernel.shape[:2] == (1, 1) and stride > 1 and not padding:
        return direct(x[:, ::stride, ::stride], kernel, 1, 0)
    if kernel.shape[2] <= SMALL_GROUP and kernel.shape[2] < x.shape[-1]:
        return shifted_groups(x, kernel, stride, padding)
    if _by_winograd(x, kernel, stride, padding):
        return winograd(x, kernel)
    return direct(x, kernel, stride, padding)


def direct(x: Array, kernel: Array, stride: int = 1, padding: int = 1) -> Array:
    """Convolve by XLA's own operation; arguments as of :func:`convolve`."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[-2],
    )


PLAIN["winograd"] = direct


def _by_winograd(x: Array, kernel: Array, stride: int, padding: int) -> bool:
    _, height, width, channels_in = x.shape
    return (
        kernel.shape[:3] == (3, 3, channels_in)
        and (stride, padding) == (1, 1)
        and min(kernel.shape[2:]) >= WINOGRAD_CHANNELS
        and min(height, width) >= WINOGRAD_EXTENT
        # Half floats would lose a digit that they need; doubles are for checks, where
        # a network runs once and eight times the compilation does not pay.
        and x.dtype == jnp.float32
    )
