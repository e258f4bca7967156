"""iResNet of insightface's arcface_torch (backbones/iresnet.py), also MagFace's.

Block: BatchNorm, 3×3 convolution, BatchNorm, PReLU, 3×3 convolution with the stride,
BatchNorm, plus a shortcut; no activation after the sum. The first block of every stage
has a 1×1 convolution and a BatchNorm on the shortcut. The tail flattens 7×7×512 into a
dense layer and a last BatchNorm.

References
----------
Deng et al. (2019). ArcFace. CVPR. arXiv:1801.07698.
Duta et al. (2021). Improved residual networks. ICPR. arXiv:2004.04989.
Meng et al. (2021). MagFace. CVPR. arXiv:2103.06627 (epsilon 2e-5).
"""

from flax import nnx
from jax import Array

from prefiqs_jax.backbones.layers import BatchNorm, PReLU, conv, per_image

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
WIDTHS = (64, 128, 256, 512)
FINAL_SIZE = 7
ANCHORS = ("conv1.weight",)
FLATTENED = {"params/fc/kernel": (WIDTHS[-1], FINAL_SIZE, FINAL_SIZE)}
IGNORABLE = (
    (r".*\.num_batches_tracked", "counter of the training"),
    (r"qs\.(weight|bias)", "quality head of CR-FIQA, not part of the embedding"),
)


class Block(nnx.Module):
    """One residual block."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        *,
        projected: bool,
        epsilon: float,
        rngs: nnx.Rngs,
    ):
        self.bn1 = BatchNorm(channels_in, epsilon=epsilon, rngs=rngs)
        self.conv1 = conv(channels_in, channels_out, 3, 1, rngs=rngs)
        self.bn2 = BatchNorm(channels_out, epsilon=epsilon, rngs=rngs)
        self.prelu = PReLU(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, stride, rngs=rngs)
        self.bn3 = BatchNorm(channels_out, epsilon=epsilon, rngs=rngs)
        self.projected = projected
        if projected:
            shortcut = conv(channels_in, channels_out, 1, stride, rngs=rngs)
            norm = BatchNorm(channels_out, epsilon=epsilon, rngs=rngs)
            self.downsample = nnx.List([shortcut, norm])

    def __call__(self, x: Array) -> Array:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        if self.projected:
            shortcut, norm = self.downsample
            x = norm(shortcut(x))
        return x + y


class IResNet(nnx.Module):
    """Map images (batch, 112, 112, 3) to raw embeddings (batch, 512)."""

    def __init__(
        self,
        blocks: tuple[int, ...],
        *,
        epsilon: float = 1e-5,
        embedding_dim: int = 512,
        rngs: nnx.Rngs,
    ):
        self.conv1 = conv(3, WIDTHS[0], 3, 1, rngs=rngs)
        self.bn1 = BatchNorm(WIDTHS[0], epsilon=epsilon, rngs=rngs)
        self.prelu = PReLU(WIDTHS[0])
        channels = WIDTHS[0]
        for stage, (count, width) in enumerate(zip(blocks, WIDTHS, strict=True), 1):
            layer = []
            for index in range(count):
                first = index == 0
                block = Block(
                    channels,
                    width,
                    2 if first else 1,
                    projected=first,
                    epsilon=epsilon,
                    rngs=rngs,
                )
                layer.append(block)
                channels = width
            setattr(self, f"layer{stage}", nnx.List(layer))
        self.bn2 = BatchNorm(WIDTHS[-1], epsilon=epsilon, rngs=rngs)
        flat = FINAL_SIZE * FINAL_SIZE * WIDTHS[-1]
        self.fc = nnx.Linear(flat, embedding_dim, rngs=rngs)
        self.features = BatchNorm(embedding_dim, epsilon=epsilon, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        x = self.prelu(self.bn1(self.conv1(images)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x = block(x)
        return self.features(self.fc(per_image(self.bn2(x))))
