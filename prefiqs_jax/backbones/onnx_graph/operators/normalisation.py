"""Reductions over axes, and normalisations by stored or by the image's own moments."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.pointwise import absolute
from prefiqs_jax.backbones.onnx_graph.values import (
    FeatureMap,
    Value,
    combine,
    like,
    plain,
    shape_of,
)

# The module (NumPy or JAX), the array, and the axes and whether they stay.
REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceL1": lambda module, x, **axes: module.sum(absolute(module, x), **axes),
    "ReduceL2": lambda module, x, **axes: module.sqrt(module.sum(x * x, **axes)),
    "ReduceMax": lambda module, x, **axes: module.max(x, **axes),
    "ReduceMean": lambda module, x, **axes: module.mean(x, **axes),
    "ReduceMin": lambda module, x, **axes: module.min(x, **axes),
    "ReduceProd": lambda module, x, **axes: module.prod(x, **axes),
    "ReduceSum": lambda module, x, **axes: module.sum(x, **axes),
    "ReduceSumSquare": lambda module, x, **axes: module.sum(x * x, **axes),
}


def reduction(function: Callable[..., Any]) -> Callable[[Call], Value]:
    """Make an operator of an entry of `REDUCTIONS`."""

    def operator(call: Call) -> Value:
        value = call.operand(0)
        rank = len(shape_of(value))
        given = call.integers("axes", 1, ())
        if not given and call.attribute("noop_with_empty_axes"):
            return value
        axes = tuple(sorted({call.counted(a, rank) for a in given or range(rank)}))
        keep = bool(call.attribute("keepdims"))
        if isinstance(value, FeatureMap) and keep:
            held = tuple(map(value.held, axes))
            return FeatureMap(function(jnp, value.array, axis=held, keepdims=True))
        result = function(call.module, plain(value), axis=axes, keepdims=keep)
        return np.asarray(result) if call.is_known else result

    return operator


def batch_normalization(call: Call) -> Value:
    """Normalise each channel by the running mean and variance."""
    rank = len(shape_of(call.operand(0)))
    call.require(rank >= 2, "has no channels to normalise")
    value, x = call.feature_map()
    scale, bias, mean, var = (call.channels(i, x) for i in range(1, 5))
    factor = scale * jax.lax.rsqrt(var + call.attribute("epsilon"))
    return like(value, (x - mean) * factor + bias)


def layer_normalization(call: Call) -> Value:
    """Normalise over an axis and those after it, then scale and shift."""
    x = call.array(0)
    y = _standardise(call, x, tuple(range(call.axis(), x.ndim)))
    y = combine(jnp.multiply, [y, call.operand(1)], call.dtype)
    shift = call.optional(2)
    return y if shift is None else combine(jnp.add, [y, shift], call.dtype)


def instance_normalization(call: Call) -> Value:
    """Normalise each channel of an image over its pixels."""
    value, x = call.feature_map()
    y = _standardise(call, x, tuple(range(1, x.ndim - 1)))
    return like(value, y * call.channels(1, x) + call.channels(2, x))


def group_normalization(call: Call) -> Value:
    """Normalise groups of channels of an image over channels and pixels."""
    value, x = call.feature_map()
    groups, channels = int(call.attribute("num_groups", 0)), x.shape[-1]
    fits = groups >= 1 and channels % groups == 0
    call.require(fits, "has groups that do not fit")
    split = x.reshape(*x.shape[:-1], groups, channels // groups)
    y = _standardise(call, split, (*range(1, x.ndim - 1), x.ndim)).reshape(x.shape)
    scale, bias = call.channels(1, x), call.channels(2, x)
    if call.node.opset < 21:  # one number for each group
        scale, bias = (jnp.repeat(v, channels // groups, -1) for v in (scale, bias))
    return like(value, y * scale + bias)


def lp_normalization(call: Call) -> Value:
    """Divide by the norm along an axis."""
    x, order, axis = call.array(0), call.attribute("p"), call.axis()
    call.require(order in (1, 2), f"has the norm {order}; only 1 and 2 are defined")
    norm = REDUCTIONS[f"ReduceL{order}"]
    return x / norm(jnp, x, axis=axis, keepdims=True)


def softmax(call: Call) -> Value:
    """Exponentials that sum to 1 over an axis; before opset 13, with those after it."""
    x = call.array(0)
    if call.node.opset >= 13:
        return jax.nn.softmax(x, call.axis())
    return jax.nn.softmax(x, tuple(range(call.axis(), x.ndim)))


def _standardise(call: Call, x: Any, axes: tuple[int, ...]) -> Any:
    centred = x - jnp.mean(x, axes, keepdims=True)
    var = jnp.mean(centred * centred, axes, keepdims=True)
    return centred * jax.lax.rsqrt(var + call.attribute("epsilon"))
