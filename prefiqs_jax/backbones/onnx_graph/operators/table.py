"""Every operator by its ONNX name."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators import (
    convolution,
    normalisation,
    pointwise,
    pooling,
    shaping,
)

Operator = Callable[[Call], Any]

# They compute known arrays as well: the arithmetic of shapes, and of weights alone.
ON_KNOWN: Mapping[str, Operator] = {
    **{k: pointwise.elementwise(f) for k, f in pointwise.ELEMENTWISE.items()},
    **{k: normalisation.reduction(f) for k, f in normalisation.REDUCTIONS.items()},
    "Cast": pointwise.cast,
    "Clip": pointwise.clip,
    "Concat": shaping.concat,
    "ConstantOfShape": shaping.constant_of_shape,
    "Expand": shaping.expand,
    "Flatten": shaping.flatten,
    "Gather": shaping.gather,
    "Identity": shaping.identity,
    "Pad": shaping.pad,
    "Pow": pointwise.power,
    "Range": shaping.range_,
    "Reshape": shaping.reshape,
    "Shape": shaping.shape,
    "Size": shaping.size,
    "Slice": shaping.slice_,
    "Split": shaping.split,
    "Squeeze": shaping.squeeze,
    "Tile": shaping.tile,
    "Transpose": shaping.transpose,
    "Unsqueeze": shaping.unsqueeze,
}
OPERATORS: Mapping[str, Operator] = {
    **ON_KNOWN,
    **{k: pointwise.activation(f) for k, f in pointwise.ACTIVATIONS.items()},
    "AveragePool": pooling.average_pool,
    "BatchNormalization": normalisation.batch_normalization,
    "Conv": convolution.conv,
    "DepthToSpace": pooling.depth_to_space,
    "Dropout": shaping.identity,
    "Einsum": convolution.einsum,
    "Gemm": convolution.gemm,
    "GlobalAveragePool": pooling.global_pool(jnp.mean),
    "GlobalMaxPool": pooling.global_pool(jnp.max),
    "GroupNormalization": normalisation.group_normalization,
    "InstanceNormalization": normalisation.instance_normalization,
    "LayerNormalization": normalisation.layer_normalization,
    "LpNormalization": normalisation.lp_normalization,
    "MatMul": convolution.matmul,
    "MaxPool": pooling.max_pool,
    "PRelu": pointwise.prelu,
    "Softmax": normalisation.softmax,
    "SpaceToDepth": pooling.space_to_depth,
}
