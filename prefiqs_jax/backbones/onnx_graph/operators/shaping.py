"""Operators that move numbers without changing them, and those that ask for shapes.

Each works on known arrays (NumPy, while tracing) as on activations, since exporters
write the arithmetic of shapes into the graph.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.values import (
    MAX_ELEMENTS,
    MAX_KNOWN,
    FeatureMap,
    Value,
    check_room,
    is_known,
    lift,
    plain,
    shape_of,
)


def shape(call: Call) -> Value:
    """Return the shape; the batch is one image."""
    sizes = shape_of(call.operand(0))
    return np.array(sizes[call.attribute("start", 0) : call.attribute("end")], np.int64)


def size(call: Call) -> Value:
    """Return the number of elements."""
    return np.array(math.prod(shape_of(call.operand(0))), np.int64)


def flatten(call: Call) -> Value:
    """Make a matrix: the axes before one, and the rest."""
    x = plain(call.operand(0))
    axis = int(call.attribute("axis", 1))
    if not -x.ndim <= axis <= x.ndim:
        why = f"has axis {axis} of {x.ndim}; export it again"
        raise call.node.refusal(why)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def reshape(call: Call) -> Value:
    """Give the same numbers another shape."""
    x = plain(call.operand(0))
    target = call.integers("shape", 1)
    if target is None:
        why = "has no shape; export it again"
        raise call.node.refusal(why)
    if not call.attribute("allowzero", 0):
        target = tuple(
            x.shape[i] if size == 0 and i < x.ndim else size
            for i, size in enumerate(target)
        )
    return x.reshape(target)


def transpose(call: Call) -> Value:
    """Permute the axes; those between the two layouts of images move nothing."""
    value = call.operand(0)
    rank = len(shape_of(value))
    perm = call.attribute("perm") or tuple(reversed(range(rank)))
    perm = tuple(call.counted(int(axis), rank) for axis in perm)
    last = (0, *range(2, rank), 1)
    if isinstance(value, FeatureMap) and perm == last:
        return value.array
    if rank == 4 and perm == (0, 3, 1, 2) and not is_known(value):
        return FeatureMap(plain(value))
    return plain(value).transpose(perm)


def squeeze(call: Call) -> Value:
    """Drop axes of size 1."""
    x = plain(call.operand(0))
    axes = call.integers("axes", 1)
    if axes is None:
        axes = tuple(i for i, size in enumerate(x.shape) if size == 1)
    axes = {call.counted(axis, x.ndim) for axis in axes}
    if any(x.shape[axis] != 1 for axis in axes):
        why = "drops an axis that is not of size 1; export it again"
        raise call.node.refusal(why)
    return x.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def unsqueeze(call: Call) -> Value:
    """Insert axes of size 1."""
    x = plain(call.operand(0))
    axes = call.integers("axes", 1) or ()
    rank = x.ndim + len(axes)
    places = {call.counted(axis, rank) for axis in axes}
    if len(places) != len(axes):
        why = "inserts an axis twice; export it again"
        raise call.node.refusal(why)
    sizes = iter(x.shape)
    return x.reshape([1 if i in places else next(sizes) for i in range(rank)])


def concat(call: Call) -> Value:
    """Join along an axis."""
    values = [call.operand(i) for i in range(len(call.operands))]
    axis = call.axis(1)
    if all(is_known(value) for value in values):
        check_room((sum(math.prod(shape_of(value)) for value in values),))
        return np.concatenate([plain(value) for value in values], axis)
    values = [lift(value, values, call.dtype) for value in values]
    maps = [value for value in values if isinstance(value, FeatureMap)]
    if len(maps) == len(values):
        rank = maps[0].array.ndim
        turned = {0: 0, 1: rank - 1}.get(axis, axis - 1)
        return FeatureMap(jnp.concatenate([v.array for v in maps], turned))
    return jnp.concatenate([plain(value) for value in values], axis)


def split(call: Call) -> tuple[Value, ...]:
    """Cut along an axis: by given sizes, or into parts as equal as can be."""
    value = call.operand(0)
    axis = call.axis(0)
    total = shape_of(value)[axis]
    sizes = call.integers("split", 1)
    if sizes is None:
        parts = int(call.attribute("num_outputs", len(call.node.outputs)))
        if not 1 <= parts <= len(call.node.outputs):
            why = "has another number of outputs; export it again"
            raise call.node.refusal(why)
        each = -(-total // parts)
        sizes = (each,) * (parts - 1) + (total - each * (parts - 1),)
    if sum(sizes) != total or min(sizes) < 0:
        why = "cuts more or less than there is; export it again"
        raise call.node.refusal(why)
    x = plain(value)
    ends = np.cumsum(sizes).tolist()
    index = (slice(None),) * axis
    return tuple(
        x[(*index, slice(end - size, end))]
        for size, end in zip(sizes, ends, strict=True)
    )


def slice_(call: Call) -> Value:
    """Cut out ranges along axes; indices count from the end if negative."""
    x = plain(call.operand(0))
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        why = "has no starts or ends; export it again"
        raise call.node.refusal(why)
    axes = call.integers("axes", 3) or tuple(range(len(starts)))
    steps = call.integers("steps", 4) or (1,) * len(starts)
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # Python clamps as ONNX does, the far ends ±2**63 included.
        index[call.counted(axis, x.ndim)] = slice(start, end, step)
    return x[tuple(index)]


def gather(call: Call) -> Value:
    """Take entries along an axis by known indices."""
    x = plain(call.operand(0))
    axis = call.axis(0)
    indices = call.known(1)
    if indices is None or indices.dtype.kind not in "iu":
        why = "has no indices; export it again"
        raise call.node.refusal(why)
    count = x.shape[axis]
    if ((indices < -count) | (indices >= count)).any():
        why = f"takes an entry beyond {count}; export it again"
        raise call.node.refusal(why)
    limit = MAX_KNOWN if isinstance(x, np.ndarray) else MAX_ELEMENTS
    check_room((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), limit)
    indices = np.where(indices < 0, indices + count, indices).astype(np.int32)
    if isinstance(x, np.ndarray):
        return np.asarray(np.take(x, indices, axis))
    if indices.ndim == 0:
        return jax.lax.index_in_dim(x, int(indices), axis, keepdims=False)
    return jnp.take(x, indices, axis)


def expand(call: Call) -> Value:
    """Repeat along axes of size 1."""
    x = plain(call.operand(0))
    target = np.broadcast_shapes(x.shape, call.integers("shape", 1) or ())
    check_room(target, MAX_KNOWN if isinstance(x, np.ndarray) else MAX_ELEMENTS)
    broadcast: Any = np.broadcast_to if isinstance(x, np.ndarray) else jnp.broadcast_to
    return broadcast(x, target)


def tile(call: Call) -> Value:
    """Repeat the whole along each axis."""
    x = plain(call.operand(0))
    repeats = call.integers("repeats", 1) or ()
    if len(repeats) != x.ndim:
        why = "has repeats that do not fit; export it again"
        raise call.node.refusal(why)
    known = isinstance(x, np.ndarray)
    sizes = [n * r for n, r in zip(x.shape, repeats, strict=True)]
    check_room(sizes, MAX_KNOWN if known else MAX_ELEMENTS)
    return (np if known else jnp).tile(x, repeats)


def constant_of_shape(call: Call) -> Value:
    """Fill a shape with one number."""
    target = call.integers("shape", 0) or ()
    check_room(target)
    value = np.asarray(call.attribute("value", np.zeros(1, np.float32)))
    return np.full(target, value.reshape(-1)[0])


def range_(call: Call) -> Value:
    """Count from a start to before a limit."""
    numbers = [n for n in (call.known(i) for i in range(3)) if n is not None]
    if len(numbers) != 3:
        why = "lacks an input; export it again"
        raise call.node.refusal(why)
    start, limit, step = (n.reshape(())[()] for n in numbers)
    count = max(0, math.ceil((limit - start) / step))
    check_room((count,))
    return np.asarray(start + np.arange(count) * step, numbers[0].dtype)


def pad(call: Call) -> Value:
    """Put numbers around; negative widths cut off."""
    value = call.operand(0)
    x = plain(value)
    widths = call.integers("pads", 1)
    axes = call.integers("axes", 3)
    axes = tuple(range(x.ndim)) if axes is None else axes
    if widths is None or len(widths) != 2 * len(axes):
        why = "has pads that do not fit; export it again"
        raise call.node.refusal(why)
    pairs = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        pairs[call.counted(axis, x.ndim)] = (widths[i], widths[i + len(axes)])
    known = isinstance(x, np.ndarray)
    sizes = [n + sum(pair) for n, pair in zip(x.shape, pairs, strict=True)]
    check_room(sizes, MAX_KNOWN if known else MAX_ELEMENTS)
    cut = tuple(
        slice(max(0, -before), n - max(0, -after))
        for n, (before, after) in zip(x.shape, pairs, strict=True)
    )
    x = x[cut]
    grown = [(max(0, before), max(0, after)) for before, after in pairs]
    padded: Any = np.pad if known else jnp.pad
    mode = call.attribute("mode", "constant")
    if mode == "constant":
        filling = call.attribute("value", call.known(2))
        number = 0 if filling is None else np.asarray(filling).reshape(-1)[0].item()
        return padded(x, grown, constant_values=number)
    if mode not in ("reflect", "edge", "wrap"):
        why = f"pads by {mode}; export it with another padding"
        raise call.node.refusal(why)
    return padded(x, grown, mode=mode)


def identity(call: Call) -> Value:
    """Return the input; so does dropout once the network is trained."""
    return call.operand(0)
