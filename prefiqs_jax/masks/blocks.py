"""Arrays in blocks that fit a core's cache, for work that reads them many times."""

from collections.abc import Iterable

from numpy.typing import NDArray

# 512 KiB of float64: what a core has to itself, with room for the comparisons. Longer
# blocks are no faster. Two threads lose with these, waiting for the interpreter, and
# gain less than a fifth with blocks four times as long: there are none.
BLOCK = 2**16


def in_blocks(parts: Iterable[NDArray]) -> list[NDArray]:
    """Cut one-dimensional arrays into views of at most ``BLOCK`` entries, in order.

    Arrays of equal lengths are cut alike. No block is empty.

    Examples
    --------
    >>> import numpy as np
    >>> [len(b) for b in in_blocks([np.zeros(70_000), np.zeros(0), np.zeros(3)])]
    [65536, 4464, 3]
    """
    return [
        part[start : start + BLOCK]
        for part in parts
        for start in range(0, part.size, BLOCK)
    ]
