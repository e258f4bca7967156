"""SFace in PyTorch, its parts named as in `prefiqs_jax.backbones.networks.sface`."""

from torch import Tensor, nn

from prefiqs_jax.backbones.networks.sface import (
    CONV_EPSILON,
    EMBEDDING_DIM,
    FINAL_SIZE,
    SEPARABLE,
    STEM,
    TAIL_EPSILON,
)


class Unit(nn.Module):
    """Convolution, BatchNorm, PReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, groups: int):
        super().__init__()
        self.conv2d = nn.Conv2d(
            inputs, outputs, size, stride, size // 2, groups=groups, bias=False
        )
        self.batchnorm = nn.BatchNorm2d(outputs, eps=CONV_EPSILON)
        self.relu = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in turn."""
        return self.relu(self.batchnorm(self.conv2d(x)))


class SFace(nn.Module):
    """Map images (batch, 3, 112, 112) to raw embeddings (batch, 128)."""

    def __init__(self):
        super().__init__()
        self.conv_1 = Unit(3, STEM, 3, 1, 1)
        inputs = STEM
        for index, (width, stride) in enumerate(SEPARABLE, start=2):
            self.add_module(f"conv_{index}_dw", Unit(inputs, inputs, 3, stride, inputs))
            self.add_module(f"conv_{index}", Unit(inputs, width, 1, 1, 1))
            inputs = width
        self.bn1 = nn.BatchNorm2d(inputs, eps=TAIL_EPSILON)
        self.pre_fc1 = nn.Linear(inputs * FINAL_SIZE**2, EMBEDDING_DIM)
        self.fc1 = nn.BatchNorm1d(EMBEDDING_DIM, eps=TAIL_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Run the units, then the dense tail."""
        x = self.conv_1(x)
        for index in range(2, 2 + len(SEPARABLE)):
            x = self.get_submodule(f"conv_{index}_dw")(x)
            x = self.get_submodule(f"conv_{index}")(x)
        return self.fc1(self.pre_fc1(self.bn1(x).flatten(1)))
