"""The published sizes of the twins, under the names that ``load_backbone`` knows."""

from collections.abc import Callable

from backbones.twins.ir import adaface_ir, curricularface_ir
from backbones.twins.iresnet import iresnet
from backbones.twins.mobilefacenet import arcface_mobilefacenet, xiaoccer_mobilefacenet
from backbones.twins.vit import arcface_vit
from torch import nn

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    152: (3, 8, 36, 3),
}
IRESNET_200 = (6, 26, 60, 6)
ADAFACE_200 = (3, 24, 36, 3)
VITS = {"t": (256, 12), "s": (512, 12), "b": (512, 24), "l": (768, 24), "h": (1024, 48)}
MAGFACE_EPSILON = 2e-5

FULL_SIZE: dict[str, Callable[[], nn.Module]] = {
    **{
        f"arcface_iresnet{depth}": lambda depth=depth: iresnet(BLOCKS[depth])
        for depth in (18, 34, 50, 100)
    },
    "arcface_iresnet200": lambda: iresnet(IRESNET_200),
    "elasticface_iresnet100": lambda: iresnet(BLOCKS[100]),
    "grafiqs_iresnet100": lambda: iresnet(BLOCKS[100]),
    **{
        f"magface_iresnet{depth}": lambda depth=depth: iresnet(
            BLOCKS[depth], epsilon=MAGFACE_EPSILON
        )
        for depth in (18, 50, 100)
    },
    **{
        f"crfiqa_iresnet{depth}": lambda depth=depth: iresnet(
            BLOCKS[depth], quality=True
        )
        for depth in (50, 100)
    },
    "curricularface_ir50": lambda: curricularface_ir(BLOCKS[50]),
    "curricularface_ir101": lambda: curricularface_ir(BLOCKS[100]),
    "adaface_ir18": lambda: adaface_ir(BLOCKS[18]),
    "adaface_ir34": lambda: adaface_ir(BLOCKS[34]),
    "adaface_ir50": lambda: adaface_ir(BLOCKS[50]),
    "adaface_ir101": lambda: adaface_ir(BLOCKS[100]),
    "adaface_ir152": lambda: adaface_ir(BLOCKS[152], bottleneck=True),
    "adaface_ir200": lambda: adaface_ir(ADAFACE_200, bottleneck=True),
    "arcface_mobilefacenet": arcface_mobilefacenet,
    "arcface_mobilefacenet_large": lambda: arcface_mobilefacenet((2, 8, 12, 4), 4),
    "xiaoccer_mobilefacenet": xiaoccer_mobilefacenet,
    "mobilefacenet_068": xiaoccer_mobilefacenet,  # a checkpoint of the same
    **{
        f"arcface_vit_{size}": lambda dim=dim, depth=depth: arcface_vit(dim, depth)
        for size, (dim, depth) in VITS.items()
    },
}


def full_size(name: str) -> nn.Module:
    """Make the twin of a published network, with random weights, in evaluation mode."""
    return FULL_SIZE[name]()
