"""Run a function of images, compiled once, on any number of them."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.memory import is_out_of_memory

ImageFunction: TypeAlias = Callable[[Any, Array, Array], Array]
"""``(weights, images, seeds) -> numbers``, whose last axis is that of the images. The
weights are an argument: XLA would fold closed-over ones for minutes."""

Run: TypeAlias = Callable[[NDArray, NDArray[np.uint32]], NDArray[np.float64]]
"""``(images (n, …), seeds (n,)) -> numbers (…, n)``."""


def in_batches(function: ImageFunction, weights: Any, batch_size: int) -> Run:
    """Make the function that takes any number of images, ``batch_size`` at a time.

    `function` computes every image alone, and gets `weights` as its first argument.
    Smaller batches are filled up, so that nothing compiles twice. InputError where
    memory runs out.
    """
    compiled = jax.jit(function, compiler_options=compiler_options())

    def run(images: NDArray, seeds: NDArray[np.uint32]) -> NDArray[np.float64]:
        parts = []
        for first in range(0, len(images), batch_size):
            some = images[first : first + batch_size]
            # Real images fill the batch: they stay finite where the network does.
            filled = np.resize(some, (batch_size, *some.shape[1:]))
            keys = np.resize(seeds[first : first + batch_size], batch_size)
            try:
                found = np.asarray(compiled(weights, filled, keys), np.float64)
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                message = (
                    f"memory ran out with {batch_size} images at once; give a smaller "
                    "batch size"
                )
                raise InputError(message) from error
            parts.append(found[..., : len(some)])
        return np.concatenate(parts, axis=-1)

    return run
