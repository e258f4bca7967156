"""Many small random draws from one call of the generator."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr, ndtri

LIMIT = 2.2


class Draws:
    """Deal out uniform numbers, drawn at once, in any shape and distribution.

    One call of the generator a number would compile into hundreds of kernels.
    """

    def __init__(self, key: Array, count: int):
        self._uniform = jax.random.uniform(key, (count,), jnp.float32)
        tail = ndtr(jnp.float32(-LIMIT))
        self._normal = ndtri(tail + (1.0 - 2.0 * tail) * self._uniform)
        self._dealt = 0

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = ()) -> Array:
        """Return numbers between `low` and `high`, float32."""
        return low + (high - low) * self._deal(self._uniform, shape)

    def normal(self, sigma: float, shape: tuple[int, ...] = ()) -> Array:
        """Return normal numbers of mean 0, cut off at 2.2 standard deviations."""
        return sigma * self._deal(self._normal, shape)

    def _deal(self, numbers: Array, shape: tuple[int, ...]) -> Array:
        start, end = self._dealt, self._dealt + math.prod(shape)
        if end > len(numbers):
            message = f"{end} draws, but only {len(numbers)} were drawn"
            raise IndexError(message)
        self._dealt = end
        return numbers[start:end].reshape(shape)

    def chance(self, probability: float) -> Array:
        """Return 1 with this probability, else 0."""
        return (self.uniform(0.0, 1.0) < probability).astype(jnp.float32)
