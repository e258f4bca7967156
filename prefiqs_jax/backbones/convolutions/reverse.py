"""Convolutions of networks like MobileNet, quick in reverse mode on a CPU.

JAX transposes a sum of shifted products, a depthwise convolution, into a sum of padded
ones, which XLA fuses with whatever follows, anew for each of the nine. Written out it
is a sum of shifted products again. A 1×1 convolution is transposed into one with its
kernel turned, which XLA computes by a plain loop within a loop over slices; a product
of matrices stays one. What is given here has no forward mode, which is why networks are
not made of it: only what needs reverse mode runs in this form.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.convolutions.convolution import Conv
from prefiqs_jax.backbones.convolutions.depthwise import shifted_depthwise


def is_slow_in_reverse(layer: nnx.Module) -> bool:
    """Tell which layers :func:`run_for_reverse` should run."""
    if not isinstance(layer, Conv) or jax.default_backend() != "cpu":
        return False
    return layer.is_depthwise or _is_pointwise(layer)


def run_for_reverse(layer: Conv, x: Array) -> Array:
    """Call a layer such that reverse mode through it is quick."""
    y = _without_bias(layer, x)
    return y + layer.bias[...][None, None, None] if layer.has_bias else y


def _without_bias(layer: Conv, x: Array) -> Array:
    kernel = layer.kernel[...]
    if _is_pointwise(layer):
        return x[:, :: layer.stride, :: layer.stride] @ kernel[0, 0]
    return depthwise_for_reverse(x, kernel, layer.stride, layer.padding)


def _is_pointwise(layer: Conv) -> bool:
    return layer.kernel.shape[0] == 1 and not layer.padding and layer.groups == 1


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_for_reverse(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Compute `shifted_depthwise`."""
    return shifted_depthwise(x, kernel, stride, padding)


def _forward(x: Array, kernel: Array, stride: int, padding: int) -> tuple[Array, Any]:
    return shifted_depthwise(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: int, padding: int, kept: tuple[Array, Array], cotangent: Array
) -> tuple[Array, Array]:
    x, kernel = kept
    size = kernel.shape[0]
    low = size - 1 - padding

    def edges(length_in: int, length_out: int) -> tuple[int, int, int]:
        spread = (length_out - 1) * stride + 1
        return low, length_in + size - 1 - low - spread, stride - 1

    # Zeros between the pixels undo the stride; the filters are turned around.
    height, width = (
        edges(*lengths)
        for lengths in zip(x.shape[1:3], cotangent.shape[1:3], strict=True)
    )
    zero = jnp.zeros((), cotangent.dtype)
    spread = jax.lax.pad(cotangent, zero, ((0, 0, 0), height, width, (0, 0, 0)))
    of_x = shifted_depthwise(spread, kernel[::-1, ::-1], 1, 0)
    _, pull = jax.vjp(lambda k: shifted_depthwise(x, k, stride, padding), kernel)
    return of_x, *pull(cotangent)


depthwise_for_reverse.defvjp(_forward, _backward)
