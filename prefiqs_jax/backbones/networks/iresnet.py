"""iResNet of insightface's arcface_torch (backbones/iresnet.py), also MagFace's.

Block: BatchNorm, 3×3 convolution, BatchNorm, PReLU, 3×3 convolution with the stride,
BatchNorm, plus a shortcut; no activation after the sum. The first block of every stage
has a 1×1 convolution and a BatchNorm on the shortcut. The tail flattens 7×7×512 into a
dense layer and a last BatchNorm. The network of the demo has the same structure, but
fewer blocks and channels.

Exporters to ONNX fold a BatchNorm into the convolution before it: such a network has
biased convolutions and no ``bn1`` of the stem, ``bn2`` and ``bn3`` of the blocks.

References
----------
Deng et al. (2019). ArcFace: Additive angular margin loss for deep face recognition.
CVPR. arXiv:1801.07698.
Duta et al. (2021). Improved residual networks for image and video recognition. ICPR.
arXiv:2004.04989.
Meng et al. (2021). MagFace: A universal representation for face recognition and quality
assessment. CVPR. arXiv:2103.06627 (epsilon 2e-5).
Boutros et al. (2022). ElasticFace: Elastic margin loss for deep face recognition.
CVPRW. arXiv:2109.09416 (its option SE).
Boutros et al. (2023). CR-FIQA: Face image quality assessment by learning sample
relative classifiability. CVPR. arXiv:2112.06592 (the quality head).
"""

from flax import nnx
from jax import Array

from prefiqs_jax.backbones.architecture import COUNTERS
from prefiqs_jax.backbones.mirror import FINAL_SIZE, Shapes, last_map, pytorch_entries
from prefiqs_jax.backbones.networks.layers import (
    BatchNorm,
    PReLU,
    conv,
    dense,
    per_image,
)
from prefiqs_jax.backbones.networks.squeeze import Identity, SqueezeExcitation
from prefiqs_jax.backbones.places import Places
from prefiqs_jax.backbones.quality import QualityHead
from prefiqs_jax.weights.mapping import Entry

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
WIDTHS = (64, 128, 256, 512)
EMBEDDING_DIM = 512
ANCHORS = ("conv1.weight",)
BLOCK = r"layer(\d)\.(\d+)\."
# Chosen by measurement on two cores: half of a forward pass, and more of a training
# step, goes into the few channels at 112×112, so these are as few as possible; from
# 28×28 on, channels are cheap.
DEMO_BLOCKS = (1, 2, 2, 1)
DEMO_WIDTHS = (8, 16, 64, 128)
DEMO_EMBEDDING_DIM = 128
IGNORABLE = (
    *COUNTERS,
    (r"qs\.(weight|bias)", "quality head of CR-FIQA, not part of the embedding"),
)


class Block(nnx.Module):
    """One residual block; the first of a stage halves the size and is projected."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        first: bool,
        *,
        epsilon: float,
        se: bool = False,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        stride = 2 if first else 1
        self.bn1 = BatchNorm(channels_in, epsilon=epsilon, rngs=rngs)
        self.conv1 = conv(channels_in, channels_out, 3, 1, bias=folded, rngs=rngs)
        self.bn2 = _norm(channels_out, epsilon, folded, rngs)
        self.prelu = PReLU(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, stride, bias=folded, rngs=rngs)
        self.bn3 = _norm(channels_out, epsilon, folded, rngs)
        self.se_block = SqueezeExcitation(channels_out, rngs=rngs) if se else Identity()
        self.first = first
        if first:
            shortcut = conv(
                channels_in, channels_out, 1, stride, bias=folded, rngs=rngs
            )
            norm = _norm(channels_out, epsilon, folded, rngs)
            self.downsample = nnx.List([shortcut, norm])

    def __call__(self, x: Array) -> Array:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.se_block(self.bn3(self.conv2(y)))
        if self.first:
            shortcut, norm = self.downsample
            x = norm(shortcut(x))
        return x + y


class IResNet(nnx.Module):
    """Map images (batch, 112, 112, 3) to raw embeddings (batch, embedding_dim).

    Parameters
    ----------
    blocks, widths
        Number of blocks and output channels of each of the four stages.
    epsilon
        Epsilon of every BatchNorm.
    embedding_dim
        Length of an embedding.
    se
        Whether each block ends with squeeze-and-excitation.
    quality
        Whether CR-FIQA's quality head is kept, ``qs``, which the embedding ignores.
    folded
        Whether an exporter folded the BatchNorms that follow a convolution into it.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        *,
        widths: tuple[int, ...] = WIDTHS,
        epsilon: float = 1e-5,
        embedding_dim: int = EMBEDDING_DIM,
        se: bool = False,
        quality: bool = False,
        folded: bool = False,
        rngs: nnx.Rngs,
    ):
        self.conv1 = conv(3, widths[0], 3, 1, bias=folded, rngs=rngs)
        self.bn1 = _norm(widths[0], epsilon, folded, rngs)
        self.prelu = PReLU(widths[0])
        layers = []
        channels = widths[0]
        for count, width in zip(blocks, widths, strict=True):
            layer = nnx.List()
            for index in range(count):
                block = Block(
                    channels,
                    width,
                    index == 0,
                    epsilon=epsilon,
                    se=se,
                    folded=folded,
                    rngs=rngs,
                )
                layer.append(block)
                channels = width
            layers.append(layer)
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.bn2 = BatchNorm(widths[-1], epsilon=epsilon, rngs=rngs)
        flat = FINAL_SIZE * FINAL_SIZE * widths[-1]
        self.fc = nnx.Linear(flat, embedding_dim, rngs=rngs)
        self.features = BatchNorm(embedding_dim, epsilon=epsilon, rngs=rngs)
        self.qs = QualityHead(embedding_dim) if quality else Identity()

    def __call__(self, images: Array) -> Array:
        x = self.prelu(self.bn1(self.conv1(images)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x = block(x)
        return self.features(dense(self.fc, per_image(self.bn2(x))))

    def places(self) -> Places:
        """Say where stages and tail are."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        ends = (f"layer{s}/{len(layer) - 1}" for s, layer in enumerate(layers, 1))
        return Places(("fc", "features"), tuple(ends))


def _norm(channels: int, epsilon: float, folded: bool, rngs: nnx.Rngs) -> nnx.Module:
    return Identity() if folded else BatchNorm(channels, epsilon=epsilon, rngs=rngs)


def torch_entries(shapes: Shapes) -> dict[str, Entry]:
    """Make the table from PyTorch keys to the paths of :class:`IResNet`."""
    return pytorch_entries(shapes, last_map(shapes, "params/fc/kernel"))
