"""Turn weights from the layouts of PyTorch and ONNX into those of JAX.

Every result is C-contiguous, and no value changes.
"""

from collections.abc import Callable

import numpy as np


def conv_kernel(weight: np.ndarray) -> np.ndarray:
    """Turn (out, in / groups, height, width) to (height, width, in / groups, out)."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def linear_kernel(weight: np.ndarray) -> np.ndarray:
    """Turn the matrix of a linear layer from (out, in) to (in, out)."""
    return np.ascontiguousarray(weight.T)


def flatten_kernel(
    channels: int, height: int, width: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the transform of a linear layer that follows a flattened feature map.

    PyTorch flattens (channels, height, width), so the input index is
    c · height · width + h · width + w; JAX flattens (height, width, channels). It maps
    (out, channels · height · width) to (height · width · channels, out).

    >>> flatten_kernel(2, 1, 3)(np.arange(6)[None]).ravel()
    array([0, 3, 1, 4, 2, 5])
    """

    def transform(weight: np.ndarray) -> np.ndarray:
        maps = weight.reshape(-1, channels, height, width)
        kernel = maps.transpose(2, 3, 1, 0)
        return np.ascontiguousarray(kernel).reshape(height * width * channels, -1)

    return transform
