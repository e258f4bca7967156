"""MobileFaceNets: those of insightface's arcface_torch, and Xiaoccer's.

arcface_torch's is twice as wide as the paper's (the large one four times), takes
112×112 pixels and ends in a dense layer. Its second layer has 64 groups of two
channels, in the large one residual blocks. Xiaoccer's is the paper's: 112×96 pixels.

References
----------
Chen et al. (2018). MobileFaceNets: Efficient CNNs for accurate real-time face
verification on mobile devices. CCBR. arXiv:1804.07573.
Code: insightface recognition/arcface_torch/backbones/mobilefacenet.py;
Xiaoccer/MobileFaceNet_Pytorch core/model.py.
"""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.mirror import FINAL_SIZE
from prefiqs_jax.backbones.networks.layers import (
    BatchNorm,
    PReLU,
    conv,
    dense,
    per_image,
)
from prefiqs_jax.backbones.networks.squeeze import (
    GlobalDepthwiseConv,
    Identity,
    VectorConv,
)
from prefiqs_jax.backbones.places import Places, before_strides

BLOCKS = (1, 4, 6, 2)
SCALE = 2
LARGE_BLOCKS = (2, 8, 12, 4)
LARGE_SCALE = 4
# Channels inside a block, which do not grow with the scale.
INNER = (128, 128, 256, 256, 512, 256)
SEPARATED = 512
EMBEDDING_DIM = 512
ANCHORS = ("layers.0.layers.0.weight",)
RESIDUAL = r"layers\.(\d)\.layers\.(\d+)\.layers\."
# Expansion, channels, blocks and stride of Xiaoccer's stages.
XIAOCCER_STAGES = (
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)
XIAOCCER_STEM = 64
XIAOCCER_SIZE = (7, 6)
XIAOCCER_DIM = 128
XIAOCCER_ANCHORS = ("conv1.conv.weight",)


class Layers(nnx.Module):
    """Layers one after the other, under the name that PyTorch's blocks give them."""

    def __init__(self, layers: list[nnx.Module]):
        self.layers = nnx.List(layers)

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer(x)
        return x


class Shift(nnx.Module):
    """What is left of a BatchNorm whose scale went into the convolution before it."""

    def __init__(self, channels: int):
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))

    def __call__(self, x: Array) -> Array:
        return x + self.bias[...][None, None, None]


class ConvBlock(Layers):
    """Convolution, BatchNorm (or what is left of it), PReLU unless it is linear."""

    def __init__(
        self,
        convolution: nnx.Module,
        channels: int,
        *,
        linear: bool = False,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        norm = Shift(channels) if folded else BatchNorm(channels, rngs=rngs)
        layers = [convolution, norm]
        super().__init__(layers if linear else [*layers, PReLU(channels)])


class DepthWise(Layers):
    """To `inner` channels, 3×3 on each of them, and back, linearly."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        inner: int,
        stride: int,
        *,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        expand = conv(channels_in, inner, 1, 1, rngs=rngs)
        spatial = conv(inner, inner, 3, stride, groups=inner, rngs=rngs)
        project = conv(inner, channels_out, 1, 1, rngs=rngs)
        super().__init__(
            [
                ConvBlock(expand, inner, folded=folded, rngs=rngs),
                ConvBlock(spatial, inner, folded=folded, rngs=rngs),
                ConvBlock(project, channels_out, linear=True, folded=folded, rngs=rngs),
            ]
        )


class Residual(Layers):
    """Blocks that each add to their input."""

    def __init__(
        self,
        channels: int,
        inner: int,
        count: int,
        *,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            [
                DepthWise(channels, channels, inner, 1, folded=folded, rngs=rngs)
                for _ in range(count)
            ]
        )

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = x + layer(x)
        return x


class Head(Layers):
    """Global depthwise convolution with BatchNorm, dense layer, BatchNorm."""

    def __init__(
        self,
        size: int,
        channels: int,
        embedding_dim: int,
        *,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        pool = GlobalDepthwiseConv(size, size, channels, rngs=rngs)
        super().__init__(
            [
                ConvBlock(pool, channels, linear=True, folded=folded, rngs=rngs),
                Identity(),  # flatten
                nnx.Linear(channels, embedding_dim, use_bias=False, rngs=rngs),
                BatchNorm(embedding_dim, rngs=rngs),
            ]
        )

    def __call__(self, x: Array) -> Array:
        pool, _, linear, norm = self.layers
        return norm(dense(linear, per_image(pool(x))))


class MobileFaceNet(nnx.Module):
    """Map images (batch, 112, 112, 3) to raw embeddings (batch, embedding_dim).

    Parameters
    ----------
    blocks
        Residual blocks at each size; a single first one is a grouped convolution.
    scale
        Width of the trunk, in units of 64 and 128 channels.
    inner
        Channels inside the blocks of layer 1 (if residual), of 2 and 3, of 4, 5, 6, 7.
    folded
        Whether an exporter folded the BatchNorms that follow a convolution into it.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int] = BLOCKS,
        scale: int = SCALE,
        *,
        unit: int = 64,
        inner: tuple[int, ...] = INNER,
        separated: int = SEPARATED,
        embedding_dim: int = EMBEDDING_DIM,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        narrow, wide = unit * scale, 2 * unit * scale
        stem = conv(3, narrow, 3, 2, rngs=rngs)
        if blocks[0] == 1:
            grouped = conv(narrow, narrow, 3, 1, groups=unit, rngs=rngs)
            second = ConvBlock(grouped, narrow, folded=folded, rngs=rngs)
        else:
            second = Residual(narrow, inner[0], blocks[0], folded=folded, rngs=rngs)
        self.layers = nnx.List(
            [
                ConvBlock(stem, narrow, folded=folded, rngs=rngs),
                second,
                DepthWise(narrow, narrow, inner[1], 2, folded=folded, rngs=rngs),
                Residual(narrow, inner[1], blocks[1], folded=folded, rngs=rngs),
                DepthWise(narrow, wide, inner[2], 2, folded=folded, rngs=rngs),
                Residual(wide, inner[3], blocks[2], folded=folded, rngs=rngs),
                DepthWise(wide, wide, inner[4], 2, folded=folded, rngs=rngs),
                Residual(wide, inner[5], blocks[3], folded=folded, rngs=rngs),
            ]
        )
        separate = conv(wide, separated, 1, 1, rngs=rngs)
        self.conv_sep = ConvBlock(separate, separated, folded=folded, rngs=rngs)
        self.features = Head(
            FINAL_SIZE, separated, embedding_dim, folded=folded, rngs=rngs
        )

    def __call__(self, images: Array) -> Array:
        x = images
        for layer in self.layers:
            x = layer(x)
        return self.features(self.conv_sep(x))

    def places(self) -> Places:
        """Say where stages and tail are."""
        tail = ("features/layers/2", "features/layers/3")
        return Places(tail, tuple(f"layers/{i}" for i in (1, 3, 5, 7)))


class NamedBlock(nnx.Module):
    """Xiaoccer's convolution, BatchNorm and PReLU, by name rather than by number."""

    def __init__(
        self,
        convolution: nnx.Module,
        channels: int,
        *,
        linear: bool = False,
        rngs: nnx.Rngs,
    ):
        self.conv = convolution
        self.bn = BatchNorm(channels, rngs=rngs)
        self.prelu = Identity() if linear else PReLU(channels)

    def __call__(self, x: Array) -> Array:
        return self.prelu(self.bn(self.conv(x)))


class Bottleneck(nnx.Module):
    """Xiaoccer's inverted residual; it adds to its input where the shapes allow."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        expansion: int,
        stride: int,
        *,
        rngs: nnx.Rngs,
    ):
        inner = channels_in * expansion
        self.conv = nnx.List(
            [
                conv(channels_in, inner, 1, 1, rngs=rngs),
                BatchNorm(inner, rngs=rngs),
                PReLU(inner),
                conv(inner, inner, 3, stride, groups=inner, rngs=rngs),
                BatchNorm(inner, rngs=rngs),
                PReLU(inner),
                conv(inner, channels_out, 1, 1, rngs=rngs),
                BatchNorm(channels_out, rngs=rngs),
            ]
        )
        self.adds = stride == 1 and channels_in == channels_out

    def __call__(self, x: Array) -> Array:
        y = x
        for layer in self.conv:
            y = layer(y)
        return x + y if self.adds else y


class XiaoccerMobileFaceNet(nnx.Module):
    """Map images (batch, 112, 96, 3) to raw embeddings (batch, embedding_dim).

    Parameters
    ----------
    stages
        Expansion, output channels, blocks and stride of each stage.
    stem, separated, embedding_dim
        Channels of the first convolutions, before the global one, and of the output.
    """

    def __init__(
        self,
        stages: tuple[tuple[int, int, int, int], ...] = XIAOCCER_STAGES,
        *,
        stem: int = XIAOCCER_STEM,
        separated: int = SEPARATED,
        embedding_dim: int = XIAOCCER_DIM,
        rngs: nnx.Rngs,
    ):
        first = conv(3, stem, 3, 2, rngs=rngs)
        self.conv1 = NamedBlock(first, stem, rngs=rngs)
        second = conv(stem, stem, 3, 1, groups=stem, rngs=rngs)
        self.dw_conv1 = NamedBlock(second, stem, rngs=rngs)
        self.blocks = nnx.List()
        channels = stem
        for expansion, width, count, stride in stages:
            for index in range(count):
                step = 1 if index else stride
                block = Bottleneck(channels, width, expansion, step, rngs=rngs)
                self.blocks.append(block)
                channels = width
        separate = conv(channels, separated, 1, 1, rngs=rngs)
        self.conv2 = NamedBlock(separate, separated, rngs=rngs)
        pool = GlobalDepthwiseConv(*XIAOCCER_SIZE, separated, rngs=rngs)
        self.linear7 = NamedBlock(pool, separated, linear=True, rngs=rngs)
        last = VectorConv(separated, embedding_dim, rngs=rngs)
        self.linear1 = NamedBlock(last, embedding_dim, linear=True, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        x = self.dw_conv1(self.conv1(images))
        for block in self.blocks:
            x = block(x)
        return self.linear1(per_image(self.linear7(self.conv2(x))))

    def places(self) -> Places:
        """Say where stages and tail are."""
        # The third convolution of a block, after those of one pixel and its BatchNorm.
        ends = before_strides([block.conv[3].stride for block in self.blocks])
        return Places(
            ("linear1/conv", "linear1/bn"),
            ("dw_conv1", *(f"blocks/{i}" for i in ends)),
            ("linear1/bn",),
        )
