"""Convolution, whole, grouped or of each channel alone."""

import string
from typing import Any

import jax
import jax.numpy as jnp

from prefiqs_jax.backbones.networks.layers import shifted_depthwise
from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.windows import Window, window
from prefiqs_jax.backbones.onnx_graph.values import (
    FeatureMap,
    Value,
    channels_last,
    lift,
    plain,
)

# Shifted products are faster than XLA's grouped convolution on a CPU up to about here.
MAX_SHIFTS = 49


def conv(call: Call) -> Value:
    """Correlate with a kernel (out, in / group, *spatial), and add the bias."""
    x = channels_last(lift(call.operand(0), [], call.dtype))
    weight = plain(lift(call.operand(1), [], call.dtype))
    if weight.ndim != x.ndim or x.ndim < 3:
        why = "has a kernel of another rank; export it again"
        raise call.node.refusal(why)
    declared = call.attribute("kernel_shape")
    if declared is not None and tuple(declared) != weight.shape[2:]:
        why = "has a kernel of another size; export it again"
        raise call.node.refusal(why)
    groups = int(call.attribute("group", 1))
    if groups < 1 or weight.shape[1] * groups != x.shape[-1]:
        why = "has a kernel for other channels; export it again"
        raise call.node.refusal(why)
    found = window(call, x.shape[1:-1], weight.shape[2:])
    kernel = weight.transpose(*range(2, weight.ndim), 1, 0)
    y = _slide(x, kernel, found, groups)
    bias = call.optional(2)
    if bias is not None:
        y = y + plain(lift(bias, [y], call.dtype)).reshape((1,) * (y.ndim - 1) + (-1,))
    return FeatureMap(y)


def _slide(x: Any, kernel: Any, found: Window, groups: int) -> Any:
    """Slide a kernel (*spatial, in / groups, out) over (batch, *spatial, in)."""
    alone = groups == x.shape[-1] == kernel.shape[-1] and groups > 1
    pads = {pad for pair in found.pads for pad in pair}
    if alone and found.kernel == x.shape[1:-1] and pads == {0}:
        # One filter over the whole map: a weighted mean, and a product everywhere.
        axes = tuple(range(1, x.ndim - 1))
        return jnp.sum(x * kernel.squeeze(-2), axes, keepdims=True)
    if alone and _shifts(found) and jax.default_backend() == "cpu":
        return shifted_depthwise(x, kernel, found.strides[0])
    spatial = string.ascii_lowercase[: x.ndim - 2]
    numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        found.strides,
        found.pads,
        rhs_dilation=found.dilations,
        dimension_numbers=numbers,
        feature_group_count=groups,
    )


def _shifts(found: Window) -> bool:
    """Tell whether `shifted_depthwise` has this form: square, odd, padded by half."""
    half = found.kernel[0] // 2
    return (
        len(found.kernel) == 2
        and set(found.kernel) == {2 * half + 1}
        and (2 * half + 1) ** 2 <= MAX_SHIFTS
        and len(set(found.strides)) == 1
        and set(found.dilations) == {1}
        and set(found.pads) == {(half, half)}
    )
