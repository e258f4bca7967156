"""A stable sort of whole numbers that counts them instead of comparing."""

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

_DIGIT = 2**16


def stable_order(
    numbers: NDArray[np.integer], bound: int
) -> Int[np.ndarray, " numbers"]:
    """Give the indices that sort whole numbers; of equal ones, the first comes first.

    The numbers lie from 0 to below ``bound``, which is at most 2³². NumPy sorts 16 bits
    at a time in linear time, several times as fast as it compares.

    >>> stable_order(np.array([2, 70_000, 0, 2]), 70_001)
    array([2, 0, 3, 1])
    """
    if bound <= _DIGIT:
        return np.argsort(numbers.astype(np.uint16), kind="stable")
    low = np.argsort((numbers % _DIGIT).astype(np.uint16), kind="stable")
    high = (numbers // _DIGIT).astype(np.uint16)[low]
    return low[np.argsort(high, kind="stable")]
