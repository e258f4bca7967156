"""Means and maxima over windows and whole maps, and blocks of pixels as channels."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.windows import Window, window, with_ceil
from prefiqs_jax.backbones.onnx_graph.values import Value, like

MAX_EXTENT = 256


def global_pool(function: Callable[..., Any]) -> Callable[[Call], Value]:
    """Make the operator that reduces all pixels; their axes stay, with size 1."""

    def operator(call: Call) -> Value:
        value, x = _input(call)
        return like(value, function(x, tuple(range(1, x.ndim - 1)), keepdims=True))

    return operator


def average_pool(call: Call) -> Value:
    """Mean over each window; padding counts only if the node says so."""
    value, x = _input(call)
    declared, found = _windows(call, x)

    def total(y: Any, pads: Any) -> Any:
        return jax.lax.reduce_window(
            y,
            np.zeros((), y.dtype),
            jax.lax.add,
            (1, *found.kernel, 1),
            (1, *found.strides, 1),
            ((0, 0), *pads, (0, 0)),
            window_dilation=(1, *found.dilations, 1),
        )

    ones, pads = jnp.ones((1, *x.shape[1:-1], 1), x.dtype), found.pads
    if call.attribute("count_include_pad"):
        # What ceil_mode adds at the end is never counted.
        counted = ((0, 0), *declared.pads, (0, 0))
        ones = jnp.pad(ones, counted, constant_values=1)
        pads = np.subtract(found.pads, declared.pads).tolist()
    return like(value, total(x, found.pads) / total(ones, pads))


def max_pool(call: Call) -> Value:
    """Maximum over each window; of equal ones the first gives the derivative."""
    value, x = _input(call)
    _, found = _windows(call, x)
    small = max(found.kernel) <= MAX_EXTENT
    call.require(small, f"has a window of more than {MAX_EXTENT} pixels")
    widths = [(0, 0), *found.pads, (0, 0)]
    x = jnp.pad(x, widths, constant_values=-np.inf)
    # One axis after the other, the last first: the first maximum in reading order wins.
    for axis in reversed(range(len(found.kernel))):
        x = _running_maximum(x, found, axis)
    return like(value, x)


def _running_maximum(x: Any, found: Window, axis: int) -> Any:
    stride, extent = found.strides[axis], found.extents[axis]
    last = (x.shape[axis + 1] - extent) // stride * stride + 1
    parts = [
        jax.lax.slice_in_dim(x, start, start + last, stride, axis + 1)
        for start in range(0, extent, found.dilations[axis])
    ]
    best = parts[0]
    for part in parts[1:]:
        # NaN wins, so that it reaches the embedding and is reported.
        best = jnp.where((part > best) | (part != part), part, best)
    return best


def _input(call: Call) -> tuple[Value, Any]:
    value, x = call.feature_map()
    call.require(x.ndim >= 3, "pools what is no image")
    return value, x


def _windows(call: Call, x: Any) -> tuple[Window, Window]:
    """Return the window as the node declares it, and as ``ceil_mode`` pads it."""
    kernel, sizes = call.attribute("kernel_shape"), x.shape[1:-1]
    call.require(kernel is not None, "has no kernel_shape")
    declared = window(call, sizes, tuple(kernel))
    return declared, with_ceil(call, sizes, declared)


def depth_to_space(call: Call) -> Value:
    """Spread channels over blocks of pixels."""
    value, x = _input(call)
    block = _block(call)
    batch, height, width, _ = x.shape
    if call.attribute("mode") != "CRD":
        split = x.reshape(batch, height, width, block, block, -1)
        spread = split.transpose(0, 1, 3, 2, 4, 5)
    else:
        split = x.reshape(batch, height, width, -1, block, block)
        spread = split.transpose(0, 1, 4, 2, 5, 3)
    return like(value, spread.reshape(batch, height * block, width * block, -1))


def space_to_depth(call: Call) -> Value:
    """Gather blocks of pixels into channels."""
    value, x = _input(call)
    block = _block(call)
    batch, height, width, channels = x.shape
    rows, columns = height // block, width // block
    split = x.reshape(batch, rows, block, columns, block, channels)
    gathered = split.transpose(0, 1, 3, 2, 4, 5)
    return like(value, gathered.reshape(batch, rows, columns, -1))


def _block(call: Call) -> int:
    block = int(call.attribute("blocksize", 0))
    call.require(block >= 1, "has no blocksize")
    return block
