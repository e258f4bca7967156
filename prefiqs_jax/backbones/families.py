"""Entries of the zoo: families that differ in little more than a depth, and others."""

import functools
import itertools

from flax import nnx

from prefiqs_jax.backbones.architecture import Architecture, blocks_of
from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.networks import (
    ir,
    iresnet,
    lresnet,
    mobilefacenet,
    sface,
    vit,
)
from prefiqs_jax.backbones.preprocessing import ARCFACE_PIXELS, Preprocessing
from prefiqs_jax.plugins import held_by_files

MAGFACE_PIXELS = Preprocessing(channels="BGR", mean=0.0, std=255.0)
ADAFACE_PIXELS = Preprocessing(channels="BGR")
# data/data_pipe.py stores what OpenCV decodes as if it were RGB, to train and to test.
TREB1EN_PIXELS = Preprocessing(channels="BGR")
MXNET_PIXELS = Preprocessing(std=128.0)
XIAOCCER_PIXELS = Preprocessing(width=96, std=128.0)

INSIGHTFACE = "code MIT, weights non-commercial"
NON_COMMERCIAL = "CC BY-NC 4.0"
SHARE_ALIKE = "CC BY-NC-SA 4.0"
MIT = "MIT"
APACHE = "Apache-2.0"

DEPTHS = (18, 34, 50, 100)
ADAFACE_DEPTHS = (18, 34, 50, 101, 152, 200)
SE_DEPTHS = (50, 101, 152)


def iresnets(
    project: str,
    depth: int,
    *,
    pixels: Preprocessing = ARCFACE_PIXELS,
    epsilon: float = 1e-5,
    se: bool = False,
    quality: bool = False,
    licence: str = INSIGHTFACE,
    note: str = "",
) -> Architecture:
    """Make the entry of an iResNet as one project trained it."""
    blocks = iresnet.BLOCKS[depth]

    def build(rngs: nnx.Rngs, folded: bool = False) -> nnx.Module:
        return iresnet.IResNet(
            blocks,
            epsilon=epsilon,
            se=se,
            quality=quality and not folded,
            folded=folded,
            rngs=rngs,
        )

    return Architecture(
        name=f"{project.lower().replace('-', '')}_iresnet{'_se' * se}{depth}",
        description=f"iResNet-{depth}{' with SE' * se} of {project}{note}",
        build=build,
        entries=iresnet.torch_entries,
        anchors=iresnet.ANCHORS,
        # The last pattern is the quality head's.
        ignorable=iresnet.IGNORABLE[:-1] if quality else iresnet.IGNORABLE,
        preprocessing=pixels,
        licence=licence,
        recognises=lambda names: blocks_of(names, iresnet.BLOCK) == blocks,
        folded=None if se else functools.partial(build, folded=True),
    )


def irs(
    project: str,
    depth: int,
    *,
    pixels: Preprocessing = ARCFACE_PIXELS,
    se: bool = False,
    affine: bool = False,
) -> Architecture:
    """Make the entry of an IR network as one project trained it."""
    adaface = project == "AdaFace"
    deep = adaface and depth > 101
    layers = "bottleneck" if deep else "adaface" if adaface else "curricularface"
    blocks = ir.BLOCKS[depth]
    kind = (layers, se, sum(blocks), affine)
    return Architecture(
        name=f"{project.lower().replace('face.', '')}_ir{'_se' * se}{depth}",
        description=f"IR{'-SE' * se}-{depth} of {project}",
        build=lambda rngs: ir.IR(
            blocks,
            layers=layers,
            widths=ir.BOTTLENECK_WIDTHS if deep else ir.WIDTHS,
            se=se,
            affine=affine,
            rngs=rngs,
        ),
        entries=ir.torch_entries,
        anchors=ir.ANCHORS,
        preprocessing=pixels,
        licence=MIT,
        recognises=lambda names: ir.kind_of(names) == kind,
    )


def mobilefacenets(
    name: str,
    description: str,
    blocks: tuple[int, int, int, int] = mobilefacenet.BLOCKS,
    scale: int = mobilefacenet.SCALE,
) -> Architecture:
    """Make the entry of a MobileFaceNet of arcface_torch."""
    build = functools.partial(mobilefacenet.MobileFaceNet, blocks, scale)
    # A single first block is no residual one.
    counts = (blocks[0] if blocks[0] > 1 else 0, *blocks[1:])
    return Architecture(
        name=name,
        description=description,
        build=lambda rngs: build(rngs=rngs),
        entries=pytorch_entries,
        anchors=mobilefacenet.ANCHORS,
        licence=INSIGHTFACE,
        recognises=lambda names: (
            blocks_of(names, mobilefacenet.RESIDUAL, "1357") == counts
        ),
        folded=lambda rngs: build(folded=True, rngs=rngs),
    )


def vits(size: str) -> Architecture:
    """Make the entry of a vision transformer of arcface_torch."""
    dim, depth = vit.SIZES[size]
    return Architecture(
        name=f"arcface_vit_{size}",
        description=f"ViT-{size.upper()} of ArcFace, {depth} blocks of width {dim}",
        build=lambda rngs: vit.ViT(dim, depth, rngs=rngs),
        entries=pytorch_entries,
        anchors=vit.ANCHORS,
        licence=INSIGHTFACE,
        # Widths of equal depth are told apart by the shapes.
        recognises=lambda names: blocks_of(names, vit.BLOCK, ["blocks"]) == (depth,),
    )


def lresnets(depth: int) -> Architecture:
    """Make the entry of an LResNet-IR of MXNet, in ``.params`` or ONNX."""
    blocks = iresnet.BLOCKS[depth]
    return Architecture(
        name=f"mxnet_iresnet{depth}",
        description=f"LResNet{depth}E-IR of ArcFace, trained with MXNet",
        build=lambda rngs: iresnet.IResNet(blocks, epsilon=lresnet.EPSILON, rngs=rngs),
        entries=lresnet.mxnet_entries,
        entries_of_file=lresnet.entries_of_file,
        ignorable=lresnet.IGNORABLE,
        preprocessing=MXNET_PIXELS,
        licence=INSIGHTFACE,
        recognises=lambda names: blocks_of(names, lresnet.BLOCK) == blocks,
        check=sface.check_scaling,
    )


ENTRIES = [
    *(iresnets("ArcFace", depth) for depth in (*DEPTHS, 200)),
    *(
        iresnets("MagFace", depth, pixels=MAGFACE_PIXELS, epsilon=2e-5, licence=MIT)
        for depth in DEPTHS
    ),
    *(
        iresnets("ElasticFace", depth, se=se, licence=SHARE_ALIKE)
        for se in (False, True)
        for depth in DEPTHS
    ),
    *(
        iresnets(
            "CR-FIQA",
            depth,
            quality=True,
            licence=NON_COMMERCIAL,
            note=", with its quality head",
        )
        for depth in DEPTHS
    ),
    # GraFIQs' script feeds BGR unless told otherwise, but its weights are ArcFace's,
    # trained on RGB.
    *(iresnets("GraFIQs", depth, licence=NON_COMMERCIAL) for depth in DEPTHS),
    *(irs("CurricularFace", d, se=se) for se in (False, True) for d in SE_DEPTHS),
    *(
        irs("AdaFace", depth, pixels=ADAFACE_PIXELS, se=se)
        for se in (False, True)
        for depth in ADAFACE_DEPTHS
    ),
    *(
        irs("face.evoLVe", depth, se=se, affine=True)
        for se in (False, True)
        for depth in SE_DEPTHS
    ),
    *(
        irs("InsightFace_Pytorch", 50, pixels=TREB1EN_PIXELS, se=se, affine=True)
        for se in (False, True)
    ),
    mobilefacenets("arcface_mobilefacenet", "MobileFaceNet of ArcFace"),
    mobilefacenets(
        "arcface_mobilefacenet_large",
        "large MobileFaceNet of ArcFace",
        mobilefacenet.LARGE_BLOCKS,
        mobilefacenet.LARGE_SCALE,
    ),
    Architecture(
        name="xiaoccer_mobilefacenet",
        description="MobileFaceNet of Xiaoccer",
        build=lambda rngs: mobilefacenet.XiaoccerMobileFaceNet(rngs=rngs),
        entries=pytorch_entries,
        anchors=mobilefacenet.XIAOCCER_ANCHORS,
        preprocessing=XIAOCCER_PIXELS,
        embedding_dim=mobilefacenet.XIAOCCER_DIM,
        licence=MIT,
        recognises=lambda names: "linear7.conv.weight" in set(names),
    ),
    *(vits(size) for size in "tsblh"),
    *(lresnets(depth) for depth in (34, 50, 100)),
    iresnets("InsightFace", 50, note=", exported (w600k_r50): weights folded"),
    iresnets("InsightFace", 100, note=", exported (glintr100): weights folded"),
    iresnets("AuraFace", 100, licence=APACHE, note=", exported: weights folded"),
    mobilefacenets(
        "insightface_mobilefacenet",
        "MobileFaceNet of InsightFace, exported (w600k_mbf): weights folded",
    ),
    # Of networks whose file has them, such as sface.py.
    *itertools.chain(*held_by_files("prefiqs_jax.backbones.networks", "ENTRIES")),
    Architecture(
        name="demo",
        description="small iResNet, weights included, trained on synthetic people",
        build=lambda rngs: iresnet.IResNet(
            iresnet.DEMO_BLOCKS,
            widths=iresnet.DEMO_WIDTHS,
            embedding_dim=iresnet.DEMO_EMBEDDING_DIM,
            rngs=rngs,
        ),
        entries=iresnet.torch_entries,
        anchors=iresnet.ANCHORS,
        ignorable=iresnet.IGNORABLE,
        embedding_dim=iresnet.DEMO_EMBEDDING_DIM,
        licence=APACHE,
        recognises=lambda names: blocks_of(names, iresnet.BLOCK) == iresnet.DEMO_BLOCKS,
        embedded="demo.safetensors",
    ),
]
