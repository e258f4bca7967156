"""Products with weights: convolutions, matrices and Einstein's sums."""

import math
import string
from typing import Any

import jax
import jax.numpy as jnp

from prefiqs_jax.backbones.convolutions.depthwise import shifted_depthwise
from prefiqs_jax.backbones.onnx_graph.call import Call
from prefiqs_jax.backbones.onnx_graph.operators.windows import Window, window
from prefiqs_jax.backbones.onnx_graph.values import (
    FeatureMap,
    Value,
    combine,
    lift,
    plain,
)

# Shifted products are faster than XLA's grouped convolution on a CPU up to about here.
MAX_SHIFTS = 49


def conv(call: Call) -> Value:
    """Correlate with a kernel (out, in / group, *spatial), and add the bias."""
    (_, x), weight = call.feature_map(), call.array(1)
    fits = weight.ndim == x.ndim >= 3
    call.require(fits, "has a kernel of another rank")
    declared = tuple(call.attribute("kernel_shape", weight.shape[2:]))
    call.require(declared == weight.shape[2:], "has a kernel of another size")
    groups = int(call.attribute("group"))
    fits = groups >= 1 and weight.shape[1] * groups == x.shape[-1]
    call.require(fits, "has a kernel for other channels")
    found = window(call, x.shape[1:-1], weight.shape[2:])
    kernel = weight.transpose(*range(2, weight.ndim), 1, 0)
    y = _slide(x, kernel, found, groups)
    if call.optional(2) is not None:
        y = y + call.channels(2, y)
    return FeatureMap(y)


def _slide(x: Any, kernel: Any, found: Window, groups: int) -> Any:
    """Slide a kernel (*spatial, in / groups, out) over (batch, *spatial, in)."""
    alone = groups == x.shape[-1] == kernel.shape[-1] and groups > 1
    pads = {pad for pair in found.pads for pad in pair}
    if alone and found.kernel == x.shape[1:-1] and pads == {0}:
        # One filter over the whole map: a weighted mean, and a product everywhere.
        axes = tuple(range(1, x.ndim - 1))
        return jnp.sum(x * kernel.squeeze(-2)[None], axes, keepdims=True)
    if alone and _shifts(found) and jax.default_backend() == "cpu":
        return shifted_depthwise(x, kernel, found.strides[0], found.pads[0][0])
    spatial = string.ascii_lowercase[: x.ndim - 2]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        found.strides,
        found.pads,
        rhs_dilation=found.dilations,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
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


def gemm(call: Call) -> Value:
    """α A B + β C, with A and B transposed if the node says so."""
    a, b, *addend = _arrays(call)
    a = a.T if call.attribute("transA") else a
    b = b.T if call.attribute("transB") else b
    alpha, beta = call.attribute("alpha"), call.attribute("beta")
    product = _product(call, a, b)
    if alpha != 1:
        product = alpha * product
    for c in addend:
        c = c if beta == 1 else beta * c
        product = combine(jnp.add, [product, c], call.dtype)
    return product


def matmul(call: Call) -> Value:
    """Product over the last axis of A and the second-to-last of B."""
    a, b = _arrays(call)
    return _product(call, a, b)


def einsum(call: Call) -> Value:
    """Sum of products in Einstein's notation."""
    return jnp.einsum(call.attribute("equation", ""), *_arrays(call))


def _arrays(call: Call) -> list[Any]:
    values = call.all_operands()
    return [jnp.asarray(plain(lift(v, values, call.dtype))) for v in values]


def _product(call: Call, a: Any, b: Any) -> Any:
    """Multiply such that no image's result depends on the number of images.

    For a single row XLA on a CPU adds up in another order; two equal rows are computed
    as many are (see `prefiqs_jax.backbones.networks.layers.dense`).
    """
    if call.image_count == 1 and a.ndim >= 2 and math.prod(a.shape[:-1]) == 1:
        return jnp.matmul(jnp.concatenate([a, a], -2), b)[..., :1, :]
    return jnp.matmul(a, b)
