"""Sums, means, maxima and norms over axes."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.pointwise import absolute
from prefiqs_jax.backbones.onnx_graph.values import FeatureMap, Value, plain, shape_of

Reduce = Callable[..., Any]


def reduction(name: str) -> Callable[[Call], Value]:
    """Make the operator that NumPy calls by a name: ``sum``, ``mean``, ``max``."""

    def reduce(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        module = np if isinstance(x, np.ndarray) else jnp
        return getattr(module, name)(x, axis=axes, keepdims=keep)

    return _operator(reduce)


def norm(order: int) -> Callable[[Call], Value]:
    """Make the operator that takes the norm of order 1 or 2; 0 = the square of 2."""

    def reduce(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        known = isinstance(x, np.ndarray)
        module: Any = np if known else jnp
        size = np.abs if known else absolute
        terms = size(x) if order == 1 else x * x
        total = module.sum(terms, axis=axes, keepdims=keep)
        return module.sqrt(total) if order == 2 else total

    return _operator(reduce)


def _operator(reduce: Reduce) -> Callable[[Call], Value]:
    def operator(call: Call) -> Value:
        value = call.operand(0)
        rank = len(shape_of(value))
        given = call.integers("axes", 1)
        if not given and call.attribute("noop_with_empty_axes", 0):
            return value
        axes = sorted({call.counted(axis, rank) for axis in given or range(rank)})
        keep = bool(call.attribute("keepdims", 1))
        if isinstance(value, FeatureMap) and keep:
            turned = tuple({0: 0, 1: rank - 1}.get(axis, axis - 1) for axis in axes)
            return FeatureMap(reduce(value.array, turned, True))
        result = reduce(plain(value), tuple(axes), keep)
        return np.asarray(result) if isinstance(value, np.ndarray) else result

    return operator
