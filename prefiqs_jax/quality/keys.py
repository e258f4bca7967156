"""Keys of random numbers that belong to images, not to batches."""

import jax
from jax import Array


def image_keys(seed: int, seeds: Array) -> Array:
    """Make a key for each image of its seed, uint32 (n,), and a seed of the run.

    >>> import jax.numpy as jnp
    >>> both = image_keys(0, jnp.array([7, 8], jnp.uint32))
    >>> bool(both[1] == image_keys(0, jnp.array([8], jnp.uint32))[0])
    True
    """
    base = jax.random.key(seed)
    return jax.vmap(lambda own: jax.random.fold_in(base, own))(seeds)
