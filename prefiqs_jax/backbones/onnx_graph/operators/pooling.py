"""Means and maxima over windows and over whole maps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.windows import Window, window, with_ceil
from prefiqs_jax.backbones.onnx_graph.values import (
    Value,
    channels_last,
    check_room,
    lift,
    like,
)

MAX_EXTENT = 256


def global_average_pool(call: Call) -> Value:
    """Mean over all pixels; the spatial axes stay, with size 1."""
    value, x = _input(call)
    return like(value, jnp.mean(x, tuple(range(1, x.ndim - 1)), keepdims=True))


def global_max_pool(call: Call) -> Value:
    """Maximum over all pixels; the spatial axes stay, with size 1."""
    value, x = _input(call)
    return like(value, jnp.max(x, tuple(range(1, x.ndim - 1)), keepdims=True))


def average_pool(call: Call) -> Value:
    """Mean over each window; padding counts only if the node says so."""
    value, x = _input(call)
    sizes = x.shape[1:-1]
    declared = _window(call, sizes)
    found = with_ceil(call, sizes, declared)
    dilations, pads = (1, *found.dilations, 1), ((0, 0), *found.pads, (0, 0))
    total = jax.lax.reduce_window(
        x,
        np.zeros((), x.dtype),
        jax.lax.add,
        (1, *found.kernel, 1),
        (1, *found.strides, 1),
        pads,
        window_dilation=dilations,
    )
    included = bool(call.attribute("count_include_pad", 0))
    check_room(total.shape[1:-1])
    counts = np.ones(())
    for axis, size in enumerate(sizes):
        counted = _counts(found, declared, axis, size, included)
        counts = counts[..., None] * counted
    return like(value, total / jnp.asarray(counts[..., None], x.dtype))


def max_pool(call: Call) -> Value:
    """Maximum over each window; of equal ones the first gives the derivative."""
    value, x = _input(call)
    found = with_ceil(call, x.shape[1:-1], _window(call, x.shape[1:-1]))
    if max(found.kernel) > MAX_EXTENT:
        why = f"has a window of more than {MAX_EXTENT} pixels"
        raise call.node.refusal(why)
    widths = [(0, 0), *found.pads, (0, 0)]
    x = jnp.pad(x, widths, constant_values=-np.inf)
    # One axis after the other, the last first: the first maximum in reading order wins.
    for axis in reversed(range(len(found.kernel))):
        x = _running_maximum(x, axis + 1, found, axis)
    return like(value, x)


def _running_maximum(x: Any, array_axis: int, found: Window, axis: int) -> Any:
    stride, extent = found.strides[axis], found.extents[axis]
    count = (x.shape[array_axis] - extent) // stride + 1
    parts = [
        jax.lax.slice_in_dim(
            x, start, start + (count - 1) * stride + 1, stride, array_axis
        )
        for start in range(0, extent, found.dilations[axis])
    ]
    best = parts[0]
    for part in parts[1:]:
        # NaN wins, so that it reaches the embedding and is reported.
        best = jnp.where((part > best) | (part != part), part, best)
    return best


def _counts(
    found: Window, declared: Window, axis: int, size: int, included: bool
) -> np.ndarray:
    """Count what each window along an axis averages over."""
    before, last = found.pads[axis]
    total = before + size + last
    places = range(0, total - found.extents[axis] + 1, found.strides[axis])
    check_room((len(places), found.kernel[axis]))
    starts = np.fromiter(places, int)[:, None] - before
    touched = starts + np.arange(found.kernel[axis]) * found.dilations[axis]
    low, high = 0, size
    if included:
        # What ceil_mode adds at the end is never counted.
        low, high = -before, size + declared.pads[axis][1]
    return ((touched >= low) & (touched < high)).sum(1)


def _input(call: Call) -> tuple[Value, Any]:
    value = lift(call.operand(0), [], call.dtype)
    x = channels_last(value)
    if x.ndim < 3:
        why = "pools what is no image; export it again"
        raise call.node.refusal(why)
    return value, x


def _window(call: Call, sizes: tuple[int, ...]) -> Window:
    kernel = call.attribute("kernel_shape")
    if kernel is None:
        why = "has no kernel_shape; export it again"
        raise call.node.refusal(why)
    return window(call, sizes, tuple(kernel))


def depth_to_space(call: Call) -> Value:
    """Spread channels over blocks of pixels."""
    value, x = _input(call)
    block = _block(call)
    batch, height, width, channels = x.shape
    rest = channels // block**2
    if call.attribute("mode", "DCR") == "DCR":
        split = x.reshape(batch, height, width, block, block, rest)
        spread = split.transpose(0, 1, 3, 2, 4, 5)
    else:
        split = x.reshape(batch, height, width, rest, block, block)
        spread = split.transpose(0, 1, 4, 2, 5, 3)
    return like(value, spread.reshape(batch, height * block, width * block, rest))


def space_to_depth(call: Call) -> Value:
    """Gather blocks of pixels into channels."""
    value, x = _input(call)
    block = _block(call)
    batch, height, width, channels = x.shape
    split = x.reshape(batch, height // block, block, width // block, block, channels)
    gathered = split.transpose(0, 1, 3, 2, 4, 5)
    shape = (batch, height // block, width // block, block**2 * channels)
    return like(value, gathered.reshape(shape))


def _block(call: Call) -> int:
    block = int(call.attribute("blocksize", 0))
    if block < 1:
        why = "has no blocksize; export it again"
        raise call.node.refusal(why)
    return block
