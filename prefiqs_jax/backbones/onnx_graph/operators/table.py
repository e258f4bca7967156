"""Every operator by its ONNX name."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators import (
    convolution,
    linear,
    normalisation,
    pointwise,
    pooling,
    reduction,
    shaping,
)

Operator = Callable[[Call], Any]

_one, _many, _activation = pointwise.pointwise, pointwise.variadic, pointwise.activation

# They compute known arrays as well: the arithmetic of shapes, and of weights alone.
ON_KNOWN: Mapping[str, Operator] = {
    "Abs": _one(jnp.abs, np.abs),
    "Add": _one(jnp.add, np.add),
    "And": _one(jnp.logical_and, np.logical_and),
    "Cast": pointwise.cast,
    "Ceil": _one(jnp.ceil, np.ceil),
    "Clip": pointwise.clip,
    "Concat": shaping.concat,
    "ConstantOfShape": shaping.constant_of_shape,
    "Div": pointwise.divide,
    "Equal": _one(jnp.equal, np.equal),
    "Exp": _one(jnp.exp, np.exp),
    "Expand": shaping.expand,
    "Flatten": shaping.flatten,
    "Floor": _one(jnp.floor, np.floor),
    "Gather": shaping.gather,
    "Greater": _one(jnp.greater, np.greater),
    "GreaterOrEqual": _one(jnp.greater_equal, np.greater_equal),
    "Identity": shaping.identity,
    "Less": _one(jnp.less, np.less),
    "LessOrEqual": _one(jnp.less_equal, np.less_equal),
    "Log": _one(jnp.log, np.log),
    "Max": _many(jnp.maximum, np.maximum),
    "Min": _many(jnp.minimum, np.minimum),
    "Mod": pointwise.modulo,
    "Mul": _one(jnp.multiply, np.multiply),
    "Neg": _one(jnp.negative, np.negative),
    "Not": _one(jnp.logical_not, np.logical_not),
    "Or": _one(jnp.logical_or, np.logical_or),
    "Pad": shaping.pad,
    "Pow": pointwise.power,
    "Range": shaping.range_,
    "Reciprocal": _one(lambda x: 1 / x),
    "ReduceL1": reduction.norm(1),
    "ReduceL2": reduction.norm(2),
    "ReduceMax": reduction.reduction("max"),
    "ReduceMean": reduction.reduction("mean"),
    "ReduceMin": reduction.reduction("min"),
    "ReduceProd": reduction.reduction("prod"),
    "ReduceSum": reduction.reduction("sum"),
    "ReduceSumSquare": reduction.norm(0),
    "Reshape": shaping.reshape,
    "Shape": shaping.shape,
    "Size": shaping.size,
    "Slice": shaping.slice_,
    "Split": shaping.split,
    "Sqrt": _one(jnp.sqrt, np.sqrt),
    "Squeeze": shaping.squeeze,
    "Sub": _one(jnp.subtract, np.subtract),
    "Sum": _many(jnp.add, np.add),
    "Tile": shaping.tile,
    "Transpose": shaping.transpose,
    "Unsqueeze": shaping.unsqueeze,
    "Where": pointwise.where,
}
OPERATORS: Mapping[str, Operator] = {
    **ON_KNOWN,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": normalisation.batch_normalization,
    "Conv": convolution.conv,
    "DepthToSpace": pooling.depth_to_space,
    "Dropout": shaping.identity,
    "Einsum": linear.einsum,
    "Elu": _activation(pointwise.elu),
    "Erf": _activation(lambda _: jax.scipy.special.erf),
    "Gelu": _activation(pointwise.gelu),
    "Gemm": linear.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "GroupNormalization": normalisation.group_normalization,
    "HardSigmoid": _activation(pointwise.hard_sigmoid),
    "HardSwish": _activation(pointwise.hard_swish),
    "InstanceNormalization": normalisation.instance_normalization,
    "LayerNormalization": normalisation.layer_normalization,
    "LeakyRelu": _activation(pointwise.leaky_relu),
    "LpNormalization": normalisation.lp_normalization,
    "MatMul": linear.matmul,
    "MaxPool": pooling.max_pool,
    "Mish": _activation(lambda _: jax.nn.mish),
    "PRelu": pointwise.prelu,
    "Relu": _activation(lambda _: jax.nn.relu),
    "Sigmoid": _activation(lambda _: jax.nn.sigmoid),
    "Softmax": normalisation.softmax,
    "SpaceToDepth": pooling.space_to_depth,
    "Softplus": _activation(lambda _: jax.nn.softplus),
    "Tanh": _activation(lambda _: jnp.tanh),
}
