"""Layers of face-recognition networks that Flax lacks or has in another form."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.convolutions.convolution import Conv, conv

__all__ = ["BatchNorm", "Conv", "PReLU", "conv", "dense", "per_image"]


class PReLU(nnx.Module):
    """x where positive, a·x elsewhere, with one slope a per channel.

    (Flax's own PReLU has a single slope.) Slopes may be negative or above 1, so this is
    no maximum. The derivative at 0 is a, as in PyTorch.
    """

    def __init__(self, channels: int):
        self.slope = nnx.Param(jnp.full((channels,), 0.25, jnp.float32))

    def __call__(self, x: Array) -> Array:
        slope = self.slope[...].reshape((1,) * (x.ndim - 1) + (-1,))
        return jnp.where(x > 0, x, slope * x)


class BatchNorm(nnx.BatchNorm):
    """Normalise by stored statistics, so that no image sees another of its batch.

    Without `affine` there is neither scale nor bias, as in PyTorch.
    """

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-5,
        affine: bool = True,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            channels,
            use_running_average=True,
            epsilon=epsilon,
            use_scale=affine,
            use_bias=affine,
            rngs=rngs,
        )


def per_image(x: Array) -> Array:
    """Flatten each image to one row, in NHWC order."""
    return x.reshape(x.shape[0], -1)


def dense(layer: Callable[[Array], Array], x: Array) -> Array:
    """Apply a dense layer such that no image's result depends on the batch size.

    For a single row XLA on a CPU takes a matrix-vector product that adds up 50,000
    terms one by one: the drift of a face then moves by 1e-6 against that in a larger
    batch. Two equal rows are computed as many are.
    """
    if x.shape[0] == 1:
        return layer(jnp.concatenate([x, x]))[:1]
    return layer(x)
