"""Squeeze-and-excitation, and other layers that see one value per channel.

References
----------
Hu et al. (2018). Squeeze-and-excitation networks. CVPR. arXiv:1709.01507.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.networks.layers import dense


class Identity(nnx.Module):
    """Nothing: keeps the place of a dropout or a flatten in PyTorch's numbering."""

    def __call__(self, x: Array) -> Array:
        return x


class VectorConv(nnx.Module):
    """A 1×1 convolution of maps of one pixel, given as rows (batch, channels).

    Its kernel is (1, 1, channels_in, channels_out); it has no bias.
    """

    def __init__(self, channels_in: int, channels_out: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.lecun_normal()
        shape = (1, 1, channels_in, channels_out)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))

    def __call__(self, rows: Array) -> Array:
        return dense(lambda x: x @ self.kernel[...][0, 0], rows)


class SqueezeExcitation(nnx.Module):
    """Weigh channels by what their means over the image say.

    Two 1×1 convolutions without bias, a ReLU between them and a sigmoid at the end, as
    in the SE variants of AdaFace, CurricularFace and ElasticFace.
    """

    def __init__(self, channels: int, *, reduction: int = 16, rngs: nnx.Rngs):
        inner = channels // reduction
        self.fc1 = VectorConv(channels, inner, rngs=rngs)
        self.fc2 = VectorConv(inner, channels, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        inner = jax.nn.relu(self.fc1(x.mean((1, 2))))
        weights = jax.nn.sigmoid(self.fc2(inner))
        return x * weights[:, None, None]


class GlobalDepthwiseConv(nnx.Module):
    """A depthwise convolution as large as the map, which leaves one pixel.

    Its kernel is (height, width, 1, channels). As a weighted sum it is one pass over
    the map on every device.
    """

    def __init__(self, height: int, width: int, channels: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.lecun_normal()
        shape = (height, width, 1, channels)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))

    def __call__(self, x: Array) -> Array:
        return (x * self.kernel[...][None, :, :, 0]).sum((1, 2), keepdims=True)
