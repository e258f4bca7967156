"""IR networks in PyTorch: CurricularFace's model_irse.py and AdaFace's net.py.

References
----------
Huang et al. (2020). CurricularFace. CVPR. arXiv:2004.00288.
Kim et al. (2022). AdaFace. CVPR. arXiv:2204.00964.
"""

from collections.abc import Callable

from backbones.twins.iresnet import SqueezeExcite, conv
from torch import Tensor, nn

Residual = Callable[[int, int, int], nn.Sequential]


def curricularface_residual(channels_in: int, width: int, stride: int) -> nn.Sequential:
    """Make the residual branch: no batch norm between the first convolution and PReLU.

    >>> len(curricularface_residual(2, 4, 1))
    5
    """
    return nn.Sequential(
        nn.BatchNorm2d(channels_in),
        conv(channels_in, width, 3),
        nn.PReLU(width),
        conv(width, width, 3, stride),
        nn.BatchNorm2d(width),
    )


def adaface_residual(channels_in: int, width: int, stride: int) -> nn.Sequential:
    """Make the residual branch of up to 101 layers."""
    return nn.Sequential(
        nn.BatchNorm2d(channels_in),
        conv(channels_in, width, 3),
        nn.BatchNorm2d(width),
        nn.PReLU(width),
        conv(width, width, 3, stride),
        nn.BatchNorm2d(width),
    )


def adaface_bottleneck(channels_in: int, width: int, stride: int) -> nn.Sequential:
    """Make the residual branch of 152 and 200 layers: 1×1, 3×3, 1×1 with the stride."""
    hidden = width // 4
    return nn.Sequential(
        nn.BatchNorm2d(channels_in),
        conv(channels_in, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.PReLU(hidden),
        conv(hidden, hidden, 3),
        nn.BatchNorm2d(hidden),
        nn.PReLU(hidden),
        conv(hidden, width, 1, stride),
        nn.BatchNorm2d(width),
    )


class Block(nn.Module):
    """Residual block; equal widths have a shortcut without parameters."""

    def __init__(
        self, channels_in: int, width: int, stride: int, residual: nn.Sequential
    ):
        super().__init__()
        if channels_in == width:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                conv(channels_in, width, 1, stride), nn.BatchNorm2d(width)
            )
        self.res_layer = residual

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class IR(nn.Module):
    """Images (batch, 3, height, width) to raw embeddings (batch, dim).

    The output layer is registered before the body, as in the originals.
    """

    def __init__(
        self,
        blocks: list[Block],
        stem: int,
        width: int,
        embedding_dim: int,
        final_size: int,
        affine: bool = False,
    ):
        super().__init__()
        self.input_layer = nn.Sequential(
            conv(3, stem, 3), nn.BatchNorm2d(stem), nn.PReLU(stem)
        )
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(width * final_size**2, embedding_dim),
            nn.BatchNorm1d(embedding_dim, affine=affine),
        )
        self.body = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        return self.output_layer(self.body(self.input_layer(images)))


def _blocks(
    blocks: tuple[int, ...], stem: int, widths: tuple[int, ...], residual: Residual
) -> list[Block]:
    made = []
    channels = stem
    for count, width in zip(blocks, widths, strict=True):
        for index in range(count):
            stride = 2 if index == 0 else 1
            made.append(
                Block(channels, width, stride, residual(channels, width, stride))
            )
            channels = width
    return made


def curricularface_ir(
    blocks: tuple[int, ...],
    widths: tuple[int, ...] = (64, 128, 256, 512),
    se: bool = False,
    *,
    stem: int | None = None,
    embedding_dim: int = 512,
    reduction: int = 16,
    final_size: int = 7,
    affine: bool = False,
) -> IR:
    """Make CurricularFace's network in evaluation mode.

    Parameters
    ----------
    blocks, widths
        Residual blocks and channels of each stage; every stage halves the image.
    se
        With squeeze-and-excitation as the last part of every residual branch.
    stem
        Channels of the first convolution; None = those of the first stage.
    embedding_dim
        Length of the embedding.
    reduction
        Channels per hidden unit of squeeze-and-excitation.
    final_size
        Height and width of what the fully connected layer flattens.
    affine
        With scale and bias in the last batch norm, as face.evoLVe and
        InsightFace_Pytorch have it.
    """

    def residual(channels: int, width: int, stride: int) -> nn.Sequential:
        branch = curricularface_residual(channels, width, stride)
        if se:
            branch.append(SqueezeExcite(width, reduction))
        return branch

    first = widths[0] if stem is None else stem
    made = _blocks(blocks, first, widths, residual)
    return IR(made, first, widths[-1], embedding_dim, final_size, affine).eval()


def adaface_ir(
    blocks: tuple[int, ...],
    widths: tuple[int, ...] | None = None,
    bottleneck: bool = False,
    se: bool = False,
    *,
    stem: int = 64,
    embedding_dim: int = 512,
    reduction: int = 16,
    final_size: int = 7,
) -> IR:
    """Make AdaFace's network in evaluation mode; it gives the embedding unnormalised.

    Parameters
    ----------
    blocks, widths
        Residual blocks and channels of each stage; every stage halves the image.
        None = 64 to 512, with bottlenecks 256 to 2048.
    bottleneck
        Blocks of IR-152 and IR-200.
    se
        With squeeze-and-excitation as the last part of every residual branch, under
        the name ``se_block``.
    stem
        Channels of the first convolution.
    embedding_dim
        Length of the embedding.
    reduction
        Channels per hidden unit of squeeze-and-excitation.
    final_size
        Height and width of what the fully connected layer flattens.
    """
    make = adaface_bottleneck if bottleneck else adaface_residual
    if widths is None:
        widths = (256, 512, 1024, 2048) if bottleneck else (64, 128, 256, 512)

    def residual(channels: int, width: int, stride: int) -> nn.Sequential:
        branch = make(channels, width, stride)
        if se:
            branch.add_module("se_block", SqueezeExcite(width, reduction))
        return branch

    made = _blocks(blocks, stem, widths, residual)
    return IR(made, stem, widths[-1], embedding_dim, final_size).eval()
