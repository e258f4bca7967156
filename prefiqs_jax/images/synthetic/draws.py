"""Many small random draws from one call of the generator."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr, ndtri


class Draws:
    """Deal out uniform numbers, drawn at once, in any shape and distribution.

    One call of the generator a number would compile into hundreds of kernels.
    """

    def __init__(self, key: Array, count: int):
        self._values = jax.random.uniform(key, (count,), jnp.float32)
        self._dealt = 0

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = ()) -> Array:
        """Return numbers between `low` and `high`, float32."""
        count = 1
        for extent in shape:
            count *= extent
        end = self._dealt + count
        if end > len(self._values):
            message = f"{end} draws, but only {len(self._values)} were drawn"
            raise IndexError(message)
        dealt = self._values[self._dealt : end].reshape(shape)
        self._dealt = end
        return low + (high - low) * dealt

    def normal(
        self, sigma: float, limit: float = 2.2, shape: tuple[int, ...] = ()
    ) -> Array:
        """Return normal numbers of mean 0, cut off at `limit` standard deviations."""
        tail = ndtr(jnp.float32(-limit))
        return sigma * ndtri(tail + (1.0 - 2.0 * tail) * self.uniform(0.0, 1.0, shape))

    def chance(self, probability: float) -> Array:
        """Return 1 with this probability, else 0."""
        return (self.uniform(0.0, 1.0) < probability).astype(jnp.float32)
