"""Compute the ONNX operators that stand between a stored weight and its layer.

Only these few: each gives at most eight times the bytes of its inputs, so that no file
can make much more of itself, as ``Expand`` or ``ConstantOfShape`` would.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_tensor import to_array
from prefiqs_jax.weights.wording import shown

FOLDABLE = frozenset(
    (
        *("Constant", "Identity", "Cast", "Reshape", "Transpose"),
        *("Squeeze", "Unsqueeze", "DequantizeLinear"),
    )
)
CASTS = frozenset(
    np.dtype(name)
    for name in ("bool", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)))
) | {np.dtype(f"float{n}") for n in (16, 32, 64)}
Operands = Sequence[np.ndarray | None]


def fold(node: Any, operands: Operands) -> np.ndarray:
    """Return the output of one node of `FOLDABLE` whose inputs are known.

    Parameters
    ----------
    node
        An ``onnx.NodeProto``.
    operands
        Its inputs in order; None for one that is left out.

    Raises
    ------
    InputError
        The node has inputs or attributes that the operator does not allow.
    """
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Constant":
        return _constant(node, attributes)
    x = operands[0] if operands else None
    argument = operands[1] if len(operands) > 1 else None
    if x is None:
        raise _refusal(node, "has no input")
    match node.op_type:
        case "Identity":
            return x
        case "Cast":
            return _cast(node, x, attributes["to"])
        case "Reshape" if argument is not None:
            return _reshape(x, argument, bool(attributes.get("allowzero", 0)))
        case "Transpose":
            return x.transpose(attributes.get("perm"))
        case "Squeeze":
            axes = attributes.get("axes") if argument is None else argument
            return x.squeeze(None if axes is None else tuple(int(a) for a in axes))
        case "Unsqueeze":
            axes = attributes["axes"] if argument is None else argument
            return np.expand_dims(x, tuple(int(a) for a in axes))
        case "DequantizeLinear" if argument is not None:
            if attributes.get("output_dtype", 0):
                raise _refusal(node, "has the attribute output_dtype")
            zero = operands[2] if len(operands) > 2 else None
            axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
            return dequantise(x, argument, zero, axis=axis, block_size=block)
    raise _refusal(node, "lacks an input")


def dequantise(
    x: np.ndarray,
    scale: np.ndarray,
    zero_point: np.ndarray | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
) -> np.ndarray:
    """Return (x - zero_point) · scale, as ONNX ``DequantizeLinear`` does.

    Parameters
    ----------
    x
        Quantised values of any integer type up to 32 bits.
    scale
        One value for the whole tensor, a vector along `axis`, or, with `block_size`,
        one value for each block: shape of `x`, but ceil(size / block_size) along
        `axis`.
    zero_point
        Shape of `scale`; None = 0.
    axis, block_size
        Along which axis scales change, and after how many values (0 = each).

    Returns
    -------
    values
        Shape of `x`, type of `scale`; computed in float32.

    Raises
    ------
    InputError
        The shapes do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> x, scale = np.array([[1, 2, 3]], np.int8), np.array([[1, 10]], np.float32)
    >>> dequantise(x, scale, axis=1, block_size=2)
    array([[ 1.,  2., 30.]], dtype=float32)
    """
    if zero_point is not None and zero_point.shape != scale.shape:
        message = "DequantizeLinear: scale and zero point differ in shape; export again"
        raise InputError(message)
    whole = scale.size == 1 and not block_size
    zero = np.zeros(scale.shape, x.dtype) if zero_point is None else zero_point

    def spread(values: np.ndarray) -> np.ndarray:
        if whole:
            return values.reshape(())
        return _spread(values, x.shape, axis, block_size)

    # Exact in int32; the difference of two int8 does not fit into int8.
    difference = x.astype(np.int32) - spread(zero.astype(np.int32))
    with np.errstate(all="ignore"):
        values = difference.astype(np.float32) * spread(scale.astype(np.float32))
        return values.astype(scale.dtype, copy=False)


def _spread(
    values: np.ndarray, shape: tuple[int, ...], axis: int, block_size: int
) -> np.ndarray:
    """Broadcast one value for each slice or block along an axis to a shape."""
    problem = InputError("DequantizeLinear: scale and weight do not fit; export again")
    if not -len(shape) <= axis < len(shape) or block_size < 0:
        raise problem
    axis %= len(shape)
    size = shape[axis]
    if not block_size:
        if values.shape != (size,):
            raise problem
        ones = [1] * len(shape)
        ones[axis] = size
        return values.reshape(ones)
    # A block longer than the axis is that long only on paper.
    block = min(block_size, max(size, 1))
    if values.shape != (*shape[:axis], -(-size // block), *shape[axis + 1 :]):
        raise problem
    repeated = np.repeat(values, block, axis)
    return repeated[(slice(None),) * axis + (slice(size),)]


def _constant(node: Any, attributes: dict[str, Any]) -> np.ndarray:
    if "value" in attributes:
        return to_array(attributes["value"])
    for name in ("value_float", "value_floats"):
        if name in attributes:
            return np.asarray(attributes[name], np.float32)
    for name in ("value_int", "value_ints"):
        if name in attributes:
            return np.asarray(attributes[name], np.int64)
    for name in ("value_string", "value_strings"):
        if name in attributes:
            return np.asarray(attributes[name])
    raise _refusal(node, "has no dense value")


def _cast(node: Any, x: np.ndarray, to: int) -> np.ndarray:
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(to)
    # Each onnx version has other NumPy types of its own for what NumPy lacks.
    if dtype not in CASTS:
        raise _refusal(node, f"casts to {shown(dtype)}")
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _reshape(x: np.ndarray, shape: np.ndarray, allow_zero: bool) -> np.ndarray:
    sizes = [int(size) for size in shape.reshape(-1)]
    if not allow_zero:
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _refusal(node: Any, why: str) -> InputError:
    return InputError(
        f"{shown(node.op_type)} {shown(node.name)} {why}; export it again"
    )
