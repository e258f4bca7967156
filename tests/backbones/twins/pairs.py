"""Every architecture twice, tiny: the PyTorch twin and the Flax port.

A file of a twin with ``OWN_PAIRS``, such as ``vit.py``, needs no line here.
"""

from backbones.twins import ir as ir_twins
from backbones.twins import mobilefacenet as mobilefacenet_twins
from backbones.twins.iresnet import iresnet
from backbones.twins.pair import Pair

from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.networks.ir import IR, torch_entries
from prefiqs_jax.backbones.networks.iresnet import IResNet
from prefiqs_jax.backbones.networks.mobilefacenet import (
    MobileFaceNet,
    XiaoccerMobileFaceNet,
)
from prefiqs_jax.plugins import held_by_files

BLOCKS = (2, 1, 1, 1)
WIDTHS = (4, 6, 8, 10)
SE_WIDTHS = (16, 16, 32, 32)  # squeezed to a sixteenth
DIM = 5


def _iresnet(widths: tuple[int, ...] = WIDTHS, **options) -> Pair:
    flattened = {"params/fc/kernel": (widths[-1], 7, 7)}
    return Pair(
        twin=lambda: iresnet(BLOCKS, widths, embedding_dim=DIM, **options),
        port=lambda rngs: IResNet(
            BLOCKS, widths=widths, embedding_dim=DIM, rngs=rngs, **options
        ),
        entries=lambda shapes: pytorch_entries(shapes, flattened),
    )


def _ir(
    kind: str,
    widths: tuple[int, ...] = WIDTHS,
    se: bool = False,
    affine: bool = False,
) -> Pair:
    stem, options = widths[0], {"se": se, "embedding_dim": DIM}
    make = ir_twins.adaface_ir
    renamed = r"res_layer\.se_block", "se_block"
    if kind == "curricularface":
        make = ir_twins.curricularface_ir
        renamed = r"res_layer\.5", "se_block"
        options["affine"] = affine
    if kind == "bottleneck":
        stem, options["bottleneck"] = 6, True
    return Pair(
        twin=lambda: make(BLOCKS, widths, stem=stem, **options),
        port=lambda rngs: IR(
            BLOCKS,
            layers=kind,
            widths=widths,
            se=se,
            affine=affine,
            stem=stem,
            embedding_dim=DIM,
            rngs=rngs,
        ),
        entries=torch_entries,
        renamed=(renamed,) if se else (),
    )


def _mobilefacenet(blocks: tuple[int, int, int, int], scale: int) -> Pair:
    base = 4
    return Pair(
        twin=lambda: mobilefacenet_twins.arcface_mobilefacenet(
            blocks, scale, embedding_dim=DIM, base=base
        ),
        port=lambda rngs: MobileFaceNet(
            blocks,
            scale,
            unit=base,
            inner=tuple(base * n for n in (2, 2, 4, 4, 8, 4)),
            separated=8 * base,
            embedding_dim=DIM,
            rngs=rngs,
        ),
    )


def _xiaoccer() -> Pair:
    stages = ((2, 4, 3, 2), (4, 6, 1, 2), (2, 6, 2, 1), (3, 8, 1, 2), (2, 8, 1, 1))
    return Pair(
        twin=lambda: mobilefacenet_twins.xiaoccer_mobilefacenet(
            stages, stem=4, top=12, embedding_dim=DIM
        ),
        port=lambda rngs: XiaoccerMobileFaceNet(
            stages, stem=4, separated=12, embedding_dim=DIM, rngs=rngs
        ),
        size=(112, 96),
    )


PAIRS: dict[str, Pair] = {
    "iresnet": _iresnet(),
    "iresnet_magface": _iresnet(epsilon=2e-5),
    "iresnet_se": _iresnet(SE_WIDTHS, se=True),
    "iresnet_quality": _iresnet(quality=True),
    "curricularface": _ir("curricularface"),
    "curricularface_se": _ir("curricularface", SE_WIDTHS, se=True),
    "evolve": _ir("curricularface", affine=True),
    "evolve_se": _ir("curricularface", SE_WIDTHS, se=True, affine=True),
    "adaface": _ir("adaface"),
    "adaface_se": _ir("adaface", SE_WIDTHS, se=True),
    "adaface_bottleneck": _ir("bottleneck", (8, 8, 12, 16)),
    "adaface_bottleneck_se": _ir("bottleneck", SE_WIDTHS, se=True),
    "arcface_mobilefacenet": _mobilefacenet((1, 2, 1, 1), 2),
    "arcface_mobilefacenet_large": _mobilefacenet((2, 1, 2, 1), 4),
    "arcface_mobilefacenet_depthwise": _mobilefacenet((1, 1, 1, 2), 1),
    "xiaoccer_mobilefacenet": _xiaoccer(),
}
for pairs in held_by_files("backbones.twins", "OWN_PAIRS"):
    PAIRS |= pairs
