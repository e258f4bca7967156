"""Bring the float types of weight files to float32."""

import numpy as np


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return floats as float32, and anything else as it is.

    What is too large for float32 becomes infinite, which the mapping reports by name.
    """
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return bfloat16 values, which NumPy lacks, as float32, exactly.

    Parameters
    ----------
    bits
        The values as unsigned integers of 16 bits: the upper half of a float32.

    Examples
    --------
    >>> import numpy as np
    >>> from_bfloat16(np.array([0x3F80, 0xC000], np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)
