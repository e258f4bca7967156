"""MobileFaceNet in PyTorch: that of arcface_torch and that of Xiaoccer.

References
----------
Chen et al. (2018). MobileFaceNets. CCBR. arXiv:1804.07573.
"""

import torch
from torch import Tensor, nn


def conv(
    channels_in: int,
    channels_out: int,
    size: int | tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> nn.Conv2d:
    """Make a convolution without bias."""
    return nn.Conv2d(
        channels_in, channels_out, size, stride, padding, groups=groups, bias=False
    )


class Layers(nn.Module):
    """A chain under the name ``layers``, with a shortcut if asked for."""

    def __init__(self, *layers: nn.Module, residual: bool = False):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


def normalised(convolution: nn.Conv2d) -> Layers:
    """Chain a convolution and a batch norm."""
    return Layers(convolution, nn.BatchNorm2d(convolution.out_channels))


def activated(convolution: nn.Conv2d) -> Layers:
    """Chain a convolution, a batch norm and PReLU."""
    channels = convolution.out_channels
    return Layers(convolution, nn.BatchNorm2d(channels), nn.PReLU(channels))


def separable(
    channels_in: int, hidden: int, channels_out: int, stride: int, residual: bool
) -> Layers:
    """Widen by 1×1, filter each channel by 3×3 with the stride, narrow by 1×1."""
    return Layers(
        activated(conv(channels_in, hidden, 1)),
        activated(conv(hidden, hidden, 3, stride, 1, groups=hidden)),
        normalised(conv(hidden, channels_out, 1)),
        residual=residual,
    )


def stage(width: int, hidden: int, count: int) -> Layers:
    """Chain separable blocks with shortcuts."""
    return Layers(*(separable(width, hidden, width, 1, True) for _ in range(count)))


class ArcFaceMobileFaceNet(nn.Module):
    """Images (batch, 3, height, width) to raw embeddings (batch, dim).

    ``base`` is 64 in the original; hidden widths do not grow with ``scale``.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        scale: int,
        embedding_dim: int,
        base: int,
        final_size: int,
    ):
        super().__init__()
        narrow, wide, top = base * scale, 2 * base * scale, 8 * base
        if blocks[0] == 1:  # grouped, and depthwise at scale 1 only
            second = activated(conv(narrow, narrow, 3, 1, 1, groups=base))
        else:
            second = stage(narrow, 2 * base, blocks[0])
        self.layers = nn.ModuleList(
            [
                activated(conv(3, narrow, 3, 2, 1)),
                second,
                separable(narrow, 2 * base, narrow, 2, False),
                stage(narrow, 2 * base, blocks[1]),
                separable(narrow, 4 * base, wide, 2, False),
                stage(wide, 4 * base, blocks[2]),
                separable(wide, 8 * base, wide, 2, False),
                stage(wide, 4 * base, blocks[3]),
            ]
        )
        self.conv_sep = activated(conv(wide, top, 1))
        self.features = Layers(
            normalised(conv(top, top, final_size, groups=top)),
            nn.Flatten(),
            nn.Linear(top, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim),
        )

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for layer in self.layers:
            x = layer(x)
        return self.features(self.conv_sep(x))


def arcface_mobilefacenet(
    blocks: tuple[int, ...] = (1, 4, 6, 2),
    scale: int = 2,
    *,
    embedding_dim: int = 512,
    base: int = 64,
    final_size: int = 7,
) -> ArcFaceMobileFaceNet:
    """Make arcface_torch's MobileFaceNet in evaluation mode.

    Parameters
    ----------
    blocks, scale
        Blocks of the four stages and factor on the widths: ``mbf`` (1, 4, 6, 2) and 2,
        ``mbf_large`` (2, 8, 12, 4) and 4.
    embedding_dim
        Length of the embedding.
    base
        Channels at scale 1; all other widths follow.
    final_size
        Height and width that the last depthwise convolution covers.
    """
    return ArcFaceMobileFaceNet(blocks, scale, embedding_dim, base, final_size).eval()


class ConvBlock(nn.Module):
    """Convolution, batch norm and, unless it is linear, PReLU."""

    def __init__(self, convolution: nn.Conv2d, linear: bool = False):
        super().__init__()
        self.conv = convolution
        self.bn = nn.BatchNorm2d(convolution.out_channels)
        self.prelu = None if linear else nn.PReLU(convolution.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        return y if self.prelu is None else self.prelu(y)


class Bottleneck(nn.Module):
    """Separable block; it has a shortcut where size and width stay."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expand: int):
        super().__init__()
        hidden = channels_in * expand
        self.residual = stride == 1 and channels_in == channels_out
        self.conv = nn.Sequential(
            conv(channels_in, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            conv(hidden, hidden, 3, stride, 1, groups=hidden),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            conv(hidden, channels_out, 1),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


# Expansion, width, blocks, stride of the first, as in table 1 of the paper.
BOTTLENECKS = (
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)


class XiaoccerMobileFaceNet(nn.Module):
    """Images (batch, 3, height, width) to raw embeddings (batch, dim)."""

    def __init__(
        self,
        bottlenecks: tuple[tuple[int, int, int, int], ...],
        stem: int,
        top: int,
        embedding_dim: int,
        final_size: tuple[int, int],
    ):
        super().__init__()
        self.conv1 = ConvBlock(conv(3, stem, 3, 2, 1))
        self.dw_conv1 = ConvBlock(conv(stem, stem, 3, 1, 1, groups=stem))
        self.blocks = nn.Sequential()
        channels = stem
        for expand, width, count, stride in bottlenecks:
            for index in range(count):
                step = stride if index == 0 else 1
                self.blocks.append(Bottleneck(channels, width, step, expand))
                channels = width
        self.conv2 = ConvBlock(conv(channels, top, 1))
        self.linear7 = ConvBlock(conv(top, top, final_size, groups=top), linear=True)
        self.linear1 = ConvBlock(conv(top, embedding_dim, 1), linear=True)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(images))))
        return torch.flatten(self.linear1(self.linear7(x)), 1)


def xiaoccer_mobilefacenet(
    bottlenecks: tuple[tuple[int, int, int, int], ...] = BOTTLENECKS,
    *,
    stem: int = 64,
    top: int = 512,
    embedding_dim: int = 128,
    final_size: tuple[int, int] = (7, 6),
) -> XiaoccerMobileFaceNet:
    """Make Xiaoccer's MobileFaceNet (112×96 pixels) in evaluation mode.

    Parameters
    ----------
    bottlenecks
        Expansion, width, number of blocks and stride of the first, stage by stage.
    stem, top
        Channels of the first layer, and of the last before the embedding.
    embedding_dim
        Length of the embedding.
    final_size
        Height and width that the last depthwise convolution covers.
    """
    return XiaoccerMobileFaceNet(
        bottlenecks, stem, top, embedding_dim, final_size
    ).eval()
