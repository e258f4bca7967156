"""Depthwise convolutions whose reverse mode is as quick as they are, on a CPU.

JAX transposes a sum of shifted products into a sum of padded ones, which XLA fuses with
whatever follows, anew for each of the nine: a gradient of SFace with respect to images
then takes 6 forwards instead of 1.5. Written out it is a sum of shifted products again.
What is given here has no forward mode, which is why networks are not made of it: only
scores that need gradients of images run in this form.
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
    depthwise = isinstance(layer, Conv) and layer.is_depthwise
    return depthwise and jax.default_backend() == "cpu"


def run_for_reverse(layer: Conv, x: Array) -> Array:
    """Call a layer such that reverse mode through it is quick."""
    return depthwise_for_reverse(x, layer.kernel[...], layer.stride, layer.padding)


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
