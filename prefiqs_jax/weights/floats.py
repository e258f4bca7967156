"""Bring the float types of weight files to float32."""

import jax.numpy as jnp
import numpy as np

BFLOAT16 = np.dtype(jnp.bfloat16)


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return floats, bfloat16 included, as float32, and anything else as it is.

    What is too large for float32 becomes infinite, which the mapping reports by name.
    """
    if array.dtype.kind != "f" and array.dtype != BFLOAT16:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
