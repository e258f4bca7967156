"""What a network expects of its pixels: a stored property of the weights.

Swapped channels and wrong scaling are the field's most common silent errors, so neither
is left to the caller.
"""

import dataclasses
import json

import numpy as np
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Size, order of channels and scaling of the input.

    Attributes
    ----------
    height, width
        Pixels.
    channels
        ``"RGB"`` or ``"BGR"``: what the network was trained on.
    mean, std
        In units of pixel values (0 to 255); the input is (pixel - mean) / std.
    """

    height: int = 112
    width: int = 112
    channels: str = "RGB"
    mean: float = 127.5
    std: float = 127.5

    def __call__(
        self, rgb: NDArray[np.uint8], dtype: DTypeLike = np.float32
    ) -> NDArray:
        """Turn pictures into the input of the network.

        Parameters
        ----------
        rgb
            Shape (batch, height, width, 3), uint8, channels in RGB order.
        dtype
            Type of the result and of the arithmetic.

        Returns
        -------
        ndarray
            Same shape (NHWC), channels in the network's order.

        Raises
        ------
        InputError
            If the pictures have another type or size.
        """
        rgb = np.asarray(rgb)
        if rgb.dtype != np.uint8:
            message = f"pictures are {rgb.dtype}, but must be uint8 in RGB order"
            raise InputError(message)
        if rgb.ndim != 4 or rgb.shape[1:] != (self.height, self.width, 3):
            message = (
                f"pictures have shape {rgb.shape}, but must be (batch, {self.height}, "
                f"{self.width}, 3)"
            )
            raise InputError(message)
        pixels = rgb if self.channels == "RGB" else rgb[..., ::-1]
        mean, std = np.asarray(self.mean, dtype), np.asarray(self.std, dtype)
        return (pixels.astype(dtype) - mean) / std

    def describe(self) -> str:
        """Say it in a line.

        >>> Preprocessing().describe()
        '112×112 RGB, (x - 127.5) / 127.5'
        """
        return (
            f"{self.height}×{self.width} {self.channels}, "
            f"(x - {self.mean:g}) / {self.std:g}"
        )

    def to_json(self) -> str:
        """Serialise for the metadata of a weights file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
