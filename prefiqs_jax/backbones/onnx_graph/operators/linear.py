"""Products of matrices."""

import math
from typing import Any

import jax.numpy as jnp

from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.values import Value, lift, plain


def gemm(call: Call) -> Value:
    """α A B + β C, with A and B transposed if the node says so."""
    a, b = _matrices(call)
    if call.attribute("transA", 0):
        a = a.T
    if call.attribute("transB", 0):
        b = b.T
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    product = _product(call, a, b)
    if alpha != 1:
        product = alpha * product
    addend = call.optional(2)
    if addend is None:
        return product
    c = plain(lift(addend, [product], call.dtype))
    return product + (c if beta == 1 else beta * c)


def matmul(call: Call) -> Value:
    """Product over the last axis of A and the second-to-last of B."""
    return _product(call, *_matrices(call))


def einsum(call: Call) -> Value:
    """Sum of products in Einstein's notation."""
    values = [call.operand(i) for i in range(len(call.operands))]
    arrays = [plain(lift(value, values, call.dtype)) for value in values]
    return jnp.einsum(call.attribute("equation", ""), *arrays)


def _matrices(call: Call) -> tuple[Any, Any]:
    values = [call.operand(0), call.operand(1)]
    a, b = (jnp.asarray(plain(lift(v, values, call.dtype))) for v in values)
    return a, b


def _product(call: Call, a: Any, b: Any) -> Any:
    """Multiply such that no image's result depends on the number of images.

    For a single row XLA on a CPU adds up in another order; two equal rows take the
    same road as many (see `prefiqs_jax.backbones.networks.layers.dense`).
    """
    if call.image_count == 1 and a.ndim >= 2 and math.prod(a.shape[:-1]) == 1:
        return jnp.matmul(jnp.concatenate([a, a], -2), b)[..., :1, :]
    return jnp.matmul(a, b)
