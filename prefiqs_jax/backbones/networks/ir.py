"""The IR networks of CurricularFace, AdaFace and face.evoLVe, with and without SE.

They differ from ArcFace's iResNet in the shortcut: where the number of channels stays,
it is a subsampling without parameters (``MaxPool2d(1, stride)`` in PyTorch), in the
first block as well; and the last BatchNorm has neither scale nor bias, but for
face.evoLVe and InsightFace_Pytorch. All but AdaFace have no BatchNorm between a block's
first convolution and its PReLU.
AdaFace's deepest two consist of bottlenecks, whose stride is on the last 1×1
convolution.

References
----------
Huang et al. (2020). CurricularFace: Adaptive curriculum learning loss for deep face
recognition. CVPR. arXiv:2004.00288. Code: backbone/model_irse.
Kim et al. (2022). AdaFace: Quality adaptive margin for face recognition. CVPR.
arXiv:2204.00964. Code: net.py.
Wang, Zhang, Xiong and Zhao (2021). Face.evoLVe: A high-performance face recognition
library. arXiv:2107.08621.
"""

import functools
import re
from collections.abc import Iterable

from flax import nnx
from jax import Array

from prefiqs_jax.backbones.mirror import FINAL_SIZE, Shapes, last_map, pytorch_entries
from prefiqs_jax.backbones.networks.layers import (
    BatchNorm,
    PReLU,
    conv,
    dense,
    per_image,
)
from prefiqs_jax.backbones.networks.squeeze import Identity, SqueezeExcitation
from prefiqs_jax.backbones.places import Places, before_strides
from prefiqs_jax.weights.mapping import Entry

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    101: (3, 13, 30, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
STEM = 64
WIDTHS = (64, 128, 256, 512)
BOTTLENECK_WIDTHS = (256, 512, 1024, 2048)
EMBEDDING_DIM = 512
ANCHORS = ("input_layer.0.weight",)


class Unit(nnx.Module):
    """One residual unit; `layers` is what PyTorch calls ``res_layer``."""

    def __init__(
        self,
        layers: list[nnx.Module],
        channels_in: int,
        channels_out: int,
        stride: int,
        *,
        se: bool,
        rngs: nnx.Rngs,
    ):
        self.res_layer = nnx.List(layers)
        self.se_block = SqueezeExcitation(channels_out, rngs=rngs) if se else Identity()
        self.stride = stride
        self.projected = channels_in != channels_out
        if self.projected:
            shortcut = conv(channels_in, channels_out, 1, stride, rngs=rngs)
            self.shortcut_layer = nnx.List(
                [shortcut, BatchNorm(channels_out, rngs=rngs)]
            )

    def __call__(self, x: Array) -> Array:
        y = x
        for layer in self.res_layer:
            y = layer(y)
        y = self.se_block(y)
        if self.projected:
            shortcut, norm = self.shortcut_layer
            return y + norm(shortcut(x))
        return y + x[:, :: self.stride, :: self.stride]


def _pair_layers(
    channels_in: int, channels_out: int, stride: int, *, between: bool, rngs: nnx.Rngs
) -> list[nnx.Module]:
    """Two convolutions; `between`: a BatchNorm between the first and its PReLU."""
    return [
        BatchNorm(channels_in, rngs=rngs),
        conv(channels_in, channels_out, 3, 1, rngs=rngs),
        *([BatchNorm(channels_out, rngs=rngs)] if between else []),
        PReLU(channels_out),
        conv(channels_out, channels_out, 3, stride, rngs=rngs),
        BatchNorm(channels_out, rngs=rngs),
    ]


def _bottleneck_layers(
    channels_in: int, channels_out: int, stride: int, *, rngs: nnx.Rngs
) -> list[nnx.Module]:
    """1×1 to a quarter of the channels, 3×3, and 1×1 back, which has the stride."""
    inner = channels_out // 4
    return [
        BatchNorm(channels_in, rngs=rngs),
        conv(channels_in, inner, 1, 1, rngs=rngs),
        BatchNorm(inner, rngs=rngs),
        PReLU(inner),
        conv(inner, inner, 3, 1, rngs=rngs),
        BatchNorm(inner, rngs=rngs),
        PReLU(inner),
        conv(inner, channels_out, 1, stride, rngs=rngs),
        BatchNorm(channels_out, rngs=rngs),
    ]


LAYERS = {
    "curricularface": functools.partial(_pair_layers, between=False),
    "adaface": functools.partial(_pair_layers, between=True),
    "bottleneck": _bottleneck_layers,
}


class IR(nnx.Module):
    """Map images (batch, 112, 112, 3) to raw embeddings (batch, embedding_dim).

    Parameters
    ----------
    blocks, widths
        Number of units and output channels of each of the four stages.
    layers
        Kind of the units, a key of `LAYERS`.
    se
        Whether each unit ends with squeeze-and-excitation.
    affine
        Whether the last BatchNorm has scale and bias.
    stem, embedding_dim
        Channels of the first convolution; length of an embedding.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        *,
        layers: str,
        widths: tuple[int, ...] = WIDTHS,
        se: bool = False,
        affine: bool = False,
        stem: int = STEM,
        embedding_dim: int = EMBEDDING_DIM,
        rngs: nnx.Rngs,
    ):
        first = conv(3, stem, 3, 1, rngs=rngs)
        self.input_layer = nnx.List([first, BatchNorm(stem, rngs=rngs), PReLU(stem)])
        self.body = nnx.List()
        channels = stem
        for count, width in zip(blocks, widths, strict=True):
            for index in range(count):
                stride = 1 if index else 2
                kind = LAYERS[layers](channels, width, stride, rngs=rngs)
                self.body.append(Unit(kind, channels, width, stride, se=se, rngs=rngs))
                channels = width
        flat = FINAL_SIZE * FINAL_SIZE * channels
        self.output_layer = nnx.List(
            [
                BatchNorm(channels, rngs=rngs),
                Identity(),  # dropout
                Identity(),  # flatten
                nnx.Linear(flat, embedding_dim, rngs=rngs),
                BatchNorm(embedding_dim, affine=affine, rngs=rngs),
            ]
        )

    def __call__(self, images: Array) -> Array:
        x = images
        for layer in (*self.input_layer, *self.body):
            x = layer(x)
        norm, _, _, linear, features = self.output_layer
        return features(dense(linear, per_image(norm(x))))

    def places(self) -> Places:
        """Say where stages and tail are."""
        ends = before_strides([unit.stride for unit in self.body])
        tail = ("output_layer/3", "output_layer/4")
        return Places(tail, tuple(f"body/{i}" for i in ends))


def torch_entries(shapes: Shapes) -> dict[str, Entry]:
    """Make the table from PyTorch keys to the paths of :class:`IR`.

    SE is the last layer of ``res_layer`` there: AdaFace calls it ``se_block``, others
    count on (``5``).
    """
    entries = pytorch_entries(shapes, last_map(shapes, "params/output_layer/3/kernel"))
    numbered = "statistics/body/0/res_layer/2/mean" not in shapes
    name = "res_layer.5" if numbered else "res_layer.se_block"
    return {key.replace("se_block", name): entry for key, entry in entries.items()}


def kind_of(names: Iterable[str]) -> tuple[str, bool, int, bool] | None:
    """Tell kind and number of units, SE and affine end from the names of a state dict.

    >>> kind_of(["input_layer.0.weight", "body.0.res_layer.2.running_mean"])
    ('adaface', False, 1, False)
    """
    names = set(names)
    units = {m[1] for name in names if (m := re.match(r"body\.(\d+)\.", name))}
    if not units or ANCHORS[0] not in names:
        return None
    first = "body.0.res_layer."
    if f"{first}8.running_mean" in names:
        kind = "bottleneck"
    elif f"{first}2.running_mean" in names:
        kind = "adaface"
    else:
        kind = "curricularface"
    se = f"{first}se_block.fc1.weight" in names or f"{first}5.fc1.weight" in names
    return kind, se, len(units), "output_layer.4.weight" in names
