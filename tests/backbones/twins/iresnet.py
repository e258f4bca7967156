"""iResNet in PyTorch: arcface_torch, ElasticFace, GraFIQs, MagFace and CR-FIQA.

References
----------
Deng et al. (2019). ArcFace. CVPR. arXiv:1801.07698.
Hu et al. (2018). Squeeze-and-excitation networks. CVPR. arXiv:1709.01507.
"""

import torch
from torch import Tensor, nn


def conv(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Make a square convolution without bias, padded by ``size // 2``."""
    return nn.Conv2d(
        channels_in, channels_out, size, stride, padding=size // 2, bias=False
    )


class SqueezeExcite(nn.Module):
    """Scale every channel by a gate in (0, 1) that the means of all channels set.

    Two dense layers, written as 1×1 convolutions without bias, with a ReLU between.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * self.fc2(self.fc1(means).relu()).sigmoid()


class Block(nn.Module):
    """Residual block; the first of a stage has a projected shortcut."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        first: bool,
        epsilon: float,
        reduction: int | None,
    ):
        super().__init__()
        stride = 2 if first else 1
        self.bn1 = nn.BatchNorm2d(channels_in, epsilon)
        self.conv1 = conv(channels_in, channels_out, 3)
        self.bn2 = nn.BatchNorm2d(channels_out, epsilon)
        self.prelu = nn.PReLU(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, stride)
        self.bn3 = nn.BatchNorm2d(channels_out, epsilon)
        if first:
            self.downsample = nn.Sequential(
                conv(channels_in, channels_out, 1, stride),
                nn.BatchNorm2d(channels_out, epsilon),
            )
        else:
            self.downsample = None
        self.se_block = SqueezeExcite(channels_out, reduction) if reduction else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        if self.se_block is not None:
            y = self.se_block(y)
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """Images (batch, 3, height, width) to raw embeddings (batch, dim)."""

    def __init__(
        self,
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        epsilon: float,
        embedding_dim: int,
        reduction: int | None,
        quality: bool,
        final_size: int,
    ):
        super().__init__()
        self.conv1 = conv(3, widths[0], 3)
        self.bn1 = nn.BatchNorm2d(widths[0], epsilon)
        self.prelu = nn.PReLU(widths[0])
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), 1):
            layer = nn.Sequential()
            for index in range(count):
                layer.append(Block(channels, width, index == 0, epsilon, reduction))
                channels = width
            self.add_module(f"layer{stage}", layer)
        self.bn2 = nn.BatchNorm2d(channels, epsilon)
        self.fc = nn.Linear(channels * final_size**2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim, epsilon)
        if quality:
            self.qs = nn.Linear(embedding_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(images)))
        for name, layer in self.named_children():
            if name.startswith("layer"):
                x = layer(x)
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))


def iresnet(
    blocks: tuple[int, ...],
    widths: tuple[int, ...] = (64, 128, 256, 512),
    epsilon: float = 1e-5,
    embedding_dim: int = 512,
    se: bool = False,
    quality: bool = False,
    reduction: int = 16,
    final_size: int = 7,
) -> IResNet:
    """Make an iResNet in evaluation mode.

    Parameters
    ----------
    blocks, widths
        Residual blocks and channels of each stage; every stage halves the image.
    epsilon
        Of every batch norm: 1e-5, MagFace 2e-5.
    embedding_dim
        Length of the embedding.
    se
        ElasticFace's option: squeeze-and-excitation after the last norm of a block.
    quality
        With the keys of CR-FIQA's quality head ``qs``, which the embedding ignores.
    reduction
        Channels per hidden unit of squeeze-and-excitation.
    final_size
        Height and width of what the fully connected layer flattens.
    """
    used = reduction if se else None
    return IResNet(
        blocks, widths, epsilon, embedding_dim, used, quality, final_size
    ).eval()
