"""Normalisations, by stored statistics or by those of the image itself."""

from typing import Any

import jax
import jax.numpy as jnp

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.pointwise import absolute
from prefiqs_jax.backbones.onnx_graph.values import (
    Value,
    channels_last,
    combine,
    lift,
    like,
    plain,
    shape_of,
)


def batch_normalization(call: Call) -> Value:
    """Normalise each channel by the running mean and variance."""
    x = call.operand(0)
    scale, bias, mean, var = (_vector(call, i) for i in range(1, 5))
    epsilon = call.attribute("epsilon", 1e-5)
    factor = scale * jax.lax.rsqrt(var + epsilon)

    def normalise(x: Any) -> Any:
        return (x - mean) * factor + bias

    value = lift(x, [], call.dtype)
    if len(shape_of(value)) < 2:
        why = "has no channels to normalise; export it again"
        raise call.node.refusal(why)
    return like(value, normalise(channels_last(value)))


def layer_normalization(call: Call) -> Value:
    """Normalise over an axis and those after it, then scale and shift."""
    x = plain(lift(call.operand(0), [], call.dtype))
    axes = tuple(range(call.axis(-1), x.ndim))
    y = _standardise(x, axes, call.attribute("epsilon", 1e-5))
    return _affine(call, y)


def instance_normalization(call: Call) -> Value:
    """Normalise each channel of an image over its pixels."""
    value = lift(call.operand(0), [], call.dtype)
    x = channels_last(value)
    axes = tuple(range(1, x.ndim - 1))
    y = _standardise(x, axes, call.attribute("epsilon", 1e-5))
    return like(value, y * _vector(call, 1) + _vector(call, 2))


def group_normalization(call: Call) -> Value:
    """Normalise groups of channels of an image over channels and pixels."""
    value = lift(call.operand(0), [], call.dtype)
    x = channels_last(value)
    groups = int(call.attribute("num_groups", 0))
    channels = x.shape[-1]
    if groups < 1 or channels % groups:
        why = "has groups that do not fit; export it again"
        raise call.node.refusal(why)
    split = x.reshape(*x.shape[:-1], groups, channels // groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    y = _standardise(split, axes, call.attribute("epsilon", 1e-5)).reshape(x.shape)
    scale, bias = _vector(call, 1), _vector(call, 2)
    if call.opset < 21:  # one number for each group
        scale, bias = (jnp.repeat(v, channels // groups) for v in (scale, bias))
    return like(value, y * scale + bias)


def lp_normalization(call: Call) -> Value:
    """Divide by the norm along an axis."""
    value = lift(call.operand(0), [], call.dtype)
    x = plain(value)
    order = call.attribute("p", 2)
    if order not in (1, 2):
        why = f"has the norm {order}; only 1 and 2 are defined"
        raise call.node.refusal(why)
    axis = call.axis(-1)
    if order == 1:
        return x / jnp.sum(absolute(x), axis, keepdims=True)
    return x / jnp.sqrt(jnp.sum(x * x, axis, keepdims=True))


def softmax(call: Call) -> Value:
    """Exponentials that sum to 1 over an axis; before opset 13, with those after it."""
    x = plain(lift(call.operand(0), [], call.dtype))
    if call.opset >= 13:
        return jax.nn.softmax(x, call.axis(-1))
    axis = call.axis(1)
    return jax.nn.softmax(x, tuple(range(axis, x.ndim)))


def _standardise(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    centred = x - jnp.mean(x, axes, keepdims=True)
    var = jnp.mean(centred * centred, axes, keepdims=True)
    return centred * jax.lax.rsqrt(var + epsilon)


def _affine(call: Call, y: Any) -> Value:
    y = combine(lambda y, s: y * s, [y, call.operand(1)], call.dtype)
    shift = call.optional(2)
    if shift is None:
        return y
    return combine(lambda y, b: y + b, [y, shift], call.dtype)


def _vector(call: Call, position: int) -> Any:
    return plain(lift(call.operand(position), [], call.dtype)).reshape(-1)
