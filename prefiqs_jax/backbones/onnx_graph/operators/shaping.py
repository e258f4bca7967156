"""Operators that move numbers without changing them, and those that ask for shapes.

Each works on known arrays (NumPy, while tracing) as on activations, since exporters
write the arithmetic of shapes into the graph.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.values import (
    FeatureMap,
    Value,
    is_known,
    lift,
    plain,
    shape_of,
)


def shape(call: Call) -> Value:
    """Return the shape; the batch is one image."""
    sizes = shape_of(call.operand(0))
    return np.array(sizes[call.attribute("start") : call.attribute("end")], np.int64)


def size(call: Call) -> Value:
    """Return the number of elements."""
    return np.array(math.prod(shape_of(call.operand(0))), np.int64)


def flatten(call: Call) -> Value:
    """Make a matrix: the axes before one, and the rest."""
    x = plain(call.operand(0))
    axis = int(call.attribute("axis"))
    call.require(-x.ndim <= axis <= x.ndim, f"has axis {axis} of {x.ndim}")
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def reshape(call: Call) -> Value:
    """Give the same numbers another shape."""
    x = plain(call.operand(0))
    target = call.integers("shape", 1)
    if not call.attribute("allowzero"):
        kept = (*x.shape, *(0 for _ in target))
        target = [n or kept[i] for i, n in enumerate(target)]
    return x.reshape(target)


def transpose(call: Call) -> Value:
    """Permute the axes; those between the two layouts of images move nothing."""
    value = call.operand(0)
    rank = len(shape_of(value))
    perm = call.attribute("perm") or tuple(reversed(range(rank)))
    perm = tuple(call.counted(int(axis), rank) for axis in perm)
    if isinstance(value, FeatureMap) and perm == (0, *range(2, rank), 1):
        return value.array
    if rank == 4 and perm == (0, 3, 1, 2) and not is_known(value):
        return FeatureMap(plain(value))
    return plain(value).transpose(perm)


def squeeze(call: Call) -> Value:
    """Drop axes of size 1."""
    x = plain(call.operand(0))
    ones = [axis for axis, size in enumerate(x.shape) if size == 1]
    return x.squeeze(call.integers("axes", 1, ones))


def unsqueeze(call: Call) -> Value:
    """Insert axes of size 1."""
    return call.module.expand_dims(plain(call.operand(0)), call.integers("axes", 1))


def concat(call: Call) -> Value:
    """Join along an axis."""
    values = call.all_operands()
    axis = call.axis()
    if call.is_known:
        call.room((sum(math.prod(shape_of(value)) for value in values),))
        return np.concatenate([plain(value) for value in values], axis)
    values = [lift(value, values, call.dtype) for value in values]
    maps = [value for value in values if isinstance(value, FeatureMap)]
    if len(maps) == len(values):
        arrays = [value.array for value in maps]
        return FeatureMap(jnp.concatenate(arrays, maps[0].held(axis)))
    return jnp.concatenate([plain(value) for value in values], axis)


def split(call: Call) -> tuple[Value, ...]:
    """Cut along an axis: by given sizes, or into parts as equal as can be."""
    x, axis = plain(call.operand(0)), call.axis()
    total, count = x.shape[axis], len(call.node.outputs)
    parts = int(call.attribute("num_outputs", count))
    call.require(1 <= parts <= count, "has another number of outputs")
    each = -(-total // parts)
    equal = (each,) * (parts - 1) + (total - each * (parts - 1),)
    sizes = call.integers("split", 1, equal)
    fits = sum(sizes) == total and min(sizes) >= 0
    call.require(fits, "cuts more or less than there is")
    return tuple(call.module.split(x, np.cumsum(sizes)[:-1], axis))


def slice_(call: Call) -> Value:
    """Cut out ranges along axes; indices count from the end if negative."""
    x = plain(call.operand(0))
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    axes = call.integers("axes", 3, range(len(starts)))
    steps = call.integers("steps", 4, [1] * len(starts))
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # Python clamps as ONNX does, the far ends ±2**63 included.
        index[call.counted(axis, x.ndim)] = slice(start, end, step)
    return x[tuple(index)]


def gather(call: Call) -> Value:
    """Take entries along an axis by known indices."""
    x, axis = plain(call.operand(0)), call.axis()
    indices, count = np.asarray(call.known(1)), x.shape[axis]
    call.require(indices.dtype.kind in "iu", "has no indices")
    inside = ((indices >= -count) & (indices < count)).all()
    call.require(inside, f"takes an entry beyond {count}")
    call.room((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    indices = np.where(indices < 0, indices + count, indices).astype(np.int32)
    if call.is_known:
        return np.asarray(np.take(x, indices, axis))
    if indices.ndim == 0:
        return jax.lax.index_in_dim(x, int(indices), axis, keepdims=False)
    return jnp.take(x, indices, axis)


def expand(call: Call) -> Value:
    """Repeat along axes of size 1."""
    x = plain(call.operand(0))
    target = np.broadcast_shapes(x.shape, call.integers("shape", 1))
    call.room(target)
    return call.module.broadcast_to(x, target)


def tile(call: Call) -> Value:
    """Repeat the whole along each axis."""
    x = plain(call.operand(0))
    repeats = call.integers("repeats", 1)
    call.require(len(repeats) == x.ndim, "has repeats that do not fit")
    call.room([n * r for n, r in zip(x.shape, repeats, strict=True)])
    return call.module.tile(x, repeats)


def constant_of_shape(call: Call) -> Value:
    """Fill a shape with one number."""
    target = call.integers("shape", 0)
    call.room(target)
    value = np.asarray(call.attribute("value", np.zeros(1, np.float32)))
    return np.full(target, value.reshape(-1)[0])


def range_(call: Call) -> Value:
    """Count from a start to before a limit."""
    start, limit, step = (np.asarray(call.known(i)).reshape(()) for i in range(3))
    count = max(0, math.ceil((limit - start) / step))
    call.room((count,))
    return np.asarray(start + np.arange(count) * step, start.dtype)


def pad(call: Call) -> Value:
    """Put numbers around; negative widths cut off."""
    x = plain(call.operand(0))
    widths = call.integers("pads", 1)
    axes = call.integers("axes", 3, range(x.ndim))
    call.require(len(widths) == 2 * len(axes), "has pads that do not fit")
    pairs = [(0, 0)] * x.ndim
    for axis, *pair in zip(axes, widths, widths[len(axes) :], strict=False):
        pairs[call.counted(axis, x.ndim)] = tuple(pair)
    call.room([n + sum(pair) for n, pair in zip(x.shape, pairs, strict=True)])
    cut = tuple(
        slice(max(0, -before), n - max(0, -after))
        for n, (before, after) in zip(x.shape, pairs, strict=True)
    )
    grown = [(max(0, before), max(0, after)) for before, after in pairs]
    mode, options = call.attribute("mode"), {}
    allowed = mode in ("constant", "reflect", "edge", "wrap")
    call.require(allowed, f"pads by {mode}, which is not read")
    if mode == "constant":
        filling = call.attribute("value", call.known(2))
        number = 0 if filling is None else np.asarray(filling).reshape(-1)[0].item()
        options = {"constant_values": number}
    return call.module.pad(x[cut], grown, mode, **options)


def identity(call: Call) -> Value:
    """Return the input; so does dropout once the network is trained."""
    return call.operand(0)
