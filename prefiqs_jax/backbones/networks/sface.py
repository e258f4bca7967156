"""SFace's MobileFaceNet-like network of OpenCV Zoo, as its ONNX file has it.

A standard convolution, then 13 pairs of a depthwise and a pointwise one, each with
BatchNorm (epsilon 1e-3) and PReLU; then BatchNorm (2e-5), flatten, dense,
BatchNorm. An ONNX file's own epsilons count, which are the float32 of these.

References
----------
Zhong et al. (2021). SFace: Sigmoid-constrained hypersphere loss for robust face
recognition. IEEE TIP. arXiv:2205.12010. Weights: OpenCV Zoo, Apache-2.0.
"""

from collections.abc import Mapping

import numpy as np
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.architecture import Architecture
from prefiqs_jax.backbones.mirror import FINAL_SIZE, Shapes, last_map, mxnet_entries
from prefiqs_jax.backbones.networks.layers import (
    BatchNorm,
    PReLU,
    conv,
    dense,
    per_image,
)
from prefiqs_jax.backbones.places import Places, before_strides
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import Entry

# Output channels and stride of the 13 separable convolutions, conv_2 to conv_14.
SEPARABLE = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
STEM = 32
EMBEDDING_DIM = 128
CONV_EPSILON = 1e-3
TAIL_EPSILON = 2e-5
IGNORABLE = ((r"scalar_op[12]", "scaling of the pixels, done by the preprocessing"),)
SCALING = {"scalar_op1": 127.5, "scalar_op2": 1 / 128}


class Unit(nnx.Module):
    """Convolution, BatchNorm, PReLU."""

    def __init__(self, convolution: nnx.Module, channels: int, *, rngs: nnx.Rngs):
        self.conv2d = convolution
        self.batchnorm = BatchNorm(channels, epsilon=CONV_EPSILON, rngs=rngs)
        self.relu = PReLU(channels)

    def __call__(self, x: Array) -> Array:
        return self.relu(self.batchnorm(self.conv2d(x)))


class SFace(nnx.Module):
    """Map images (batch, 112, 112, 3) to raw embeddings (batch, 128)."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.conv_1 = Unit(conv(3, STEM, 3, 1, rngs=rngs), STEM, rngs=rngs)
        channels = STEM
        for name, (width, stride) in _separable():
            depthwise = conv(channels, channels, 3, stride, groups=channels, rngs=rngs)
            setattr(self, f"{name}_dw", Unit(depthwise, channels, rngs=rngs))
            pointwise = conv(channels, width, 1, 1, rngs=rngs)
            setattr(self, name, Unit(pointwise, width, rngs=rngs))
            channels = width
        self.bn1 = BatchNorm(channels, epsilon=TAIL_EPSILON, rngs=rngs)
        flat = FINAL_SIZE * FINAL_SIZE * channels
        self.pre_fc1 = nnx.Linear(flat, EMBEDDING_DIM, rngs=rngs)
        self.fc1 = BatchNorm(EMBEDDING_DIM, epsilon=TAIL_EPSILON, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        x = self.conv_1(images)
        for name, _ in _separable():
            x = getattr(self, name)(getattr(self, f"{name}_dw")(x))
        return self.fc1(dense(self.pre_fc1, per_image(self.bn1(x))))

    def places(self) -> Places:
        """Say where stages and tail are."""
        ends = before_strides([stride for _, stride in SEPARABLE])
        # The first of them ends the part of full size, which is no stage.
        return Places(("pre_fc1", "fc1"), tuple(f"conv_{i + 2}" for i in ends[1:]))


def onnx_entries(shapes: Shapes) -> dict[str, Entry]:
    """Make the table from the names in OpenCV Zoo's ONNX file, which are MXNet's."""
    flattened = last_map(shapes, "params/pre_fc1/kernel")
    return mxnet_entries(shapes, lambda scope: scope.replace("/", "_"), flattened)


def check_scaling(tensors: Mapping[str, np.ndarray]) -> None:
    """Raise InputError if the file scales pixels in another way than SFace's.

    Not at all is right, too: then the caller does it, as the preprocessing does.
    """
    found = {name: tensors[name] for name in SCALING if name in tensors}
    for name in SCALING if found else ():
        value = found.get(name)
        if value is None or not np.array_equal(np.ravel(value), [SCALING[name]]):
            message = (
                f"{name} is {value}, but its pixels are scaled with {SCALING[name]}"
            )
            raise InputError(message)


def _separable() -> list[tuple[str, tuple[int, int]]]:
    return [(f"conv_{i}", plan) for i, plan in enumerate(SEPARABLE, start=2)]


ENTRIES = (
    Architecture(
        name="sface",
        description="SFace of OpenCV Zoo: separable convolutions",
        build=lambda rngs: SFace(rngs=rngs),
        entries=onnx_entries,
        ignorable=IGNORABLE,
        preprocessing=Preprocessing(std=128.0),
        embedding_dim=EMBEDDING_DIM,
        licence="Apache-2.0",
        recognises=lambda names: "conv_1_conv2d_weight" in set(names),
        check=check_scaling,
    ),
)
