"""What flows through a graph: NumPy arrays known beforehand, activations, and maps.

The files are channels-first. Convolutions are fastest channels-last, so what they give
is held that way, and put back only where an operator asks for the axes of the file.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.errors import InputError

# An activation of one image; the largest of any network is 1000 times smaller.
MAX_ELEMENTS = 2**31
# Shapes, indices and attention masks, which are computed while tracing.
MAX_KNOWN = 2**22


@dataclasses.dataclass(frozen=True)
class FeatureMap:
    """An activation (batch, channels, *spatial) of the file, held channels-last."""

    array: Array

    def held(self, axis: int) -> int:
        """Return where an axis of the file, counted from the front, is held."""
        return {0: 0, 1: self.array.ndim - 1}.get(axis, axis - 1)


Value: TypeAlias = Array | np.ndarray | FeatureMap


def is_known(value: Value | None) -> bool:
    """Tell what does not depend on the image or on a weight."""
    return value is None or isinstance(value, np.ndarray)


def shape_of(value: Value) -> tuple[int, ...]:
    """Return the shape that the file means."""
    if isinstance(value, FeatureMap):
        batch, *spatial, channels = value.array.shape
        return (batch, channels, *spatial)
    return tuple(value.shape)


def plain(value: Value) -> Any:
    """Return the array with the axes of the file."""
    if isinstance(value, FeatureMap):
        return jnp.moveaxis(value.array, -1, 1)
    return value


def channels_last(value: Value) -> Any:
    """Return the array with the channels, axis 1 of the file, at the end."""
    return value.array if isinstance(value, FeatureMap) else jnp.moveaxis(value, 1, -1)


def like(value: Value, array: Any) -> Value:
    """Hold an array with the channels at the end as its source was held."""
    if isinstance(value, FeatureMap):
        return FeatureMap(array)
    return jnp.moveaxis(array, -1, 1)


def lift(value: Value, others: Sequence[Value], dtype: Any) -> Value:
    """Turn known numbers into an array of the type that they meet."""
    if not isinstance(value, np.ndarray) or value.dtype.kind == "b":
        return value
    types = [plain(other).dtype for other in others if not is_known(other)]
    if any(jnp.issubdtype(t, jnp.floating) for t in types) or value.dtype.kind == "f":
        return jnp.asarray(value, dtype)
    numbers = [t for t in types if t != np.bool_]
    return jnp.asarray(value, numbers[0] if numbers else None)


def combine(function: Callable[..., Any], values: Sequence[Value], dtype: Any) -> Value:
    """Apply a function element by element, with broadcasting.

    If all values are known, so is the result; known numbers that meet others take on
    `dtype`, the type of the network's arithmetic.
    """
    shape = np.broadcast_shapes(*map(shape_of, values))
    if all(map(is_known, values)):
        check_room(shape)
        return np.asarray(function(*values))
    values = [lift(value, values, dtype) for value in values]
    maps = [value for value in values if isinstance(value, FeatureMap)]
    held = bool(maps) and len(shape) <= maps[0].array.ndim

    def aligned(value: Value) -> Any:
        if held and isinstance(value, FeatureMap):
            return value.array
        array = plain(value)
        array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
        return jnp.moveaxis(array, 1, -1) if held else array

    result = function(*map(aligned, values))
    return FeatureMap(result) if held else result


def check_room(shape: Sequence[int], limit: int = MAX_KNOWN) -> None:
    """Raise InputError for a shape that no network has, before memory is taken."""
    if any(size < 0 for size in shape) or math.prod(shape) > limit:
        sizes = "×".join(str(size) for size in shape)
        message = f"would make an array of {sizes[:80]} numbers; export it again"
        raise InputError(message)
