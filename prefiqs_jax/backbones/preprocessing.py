"""What a network expects of its pixels: a stored property of the weights.

Swapped channels and wrong scaling are the field's most common silent errors, so neither
is left to the caller.
"""

import dataclasses
import json
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import as_pixels

CHANNELS = ("RGB", "BGR")
_MOST = 2.0**32


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

    def __post_init__(self) -> None:
        """Refuse what a damaged file may say."""
        size, scale = (self.height, self.width), (self.mean, self.std)
        sizes = all(isinstance(n, int) and 0 < n < _MOST for n in size)
        numbers = all(isinstance(n, float | int) and abs(n) < _MOST for n in scale)
        if not (sizes and numbers and self.std > 0 and self.channels in CHANNELS):
            message = f"preprocessing is {dataclasses.asdict(self)}; convert again"
            raise InputError(message)

    def __call__(self, rgb: Any, dtype: DTypeLike = np.float32) -> NDArray:
        """Turn images into the input of the network.

        Parameters
        ----------
        rgb
            Shape (batch, height, width, 3), uint8, channels in RGB order; or one image
            (height, width, 3), a PIL image, or a list of either.
        dtype
            Type of the result and of the arithmetic.

        Returns
        -------
        ndarray
            Shape (batch, height, width, 3), channels in the network's order.

        Raises
        ------
        InputError
            If the images have another type or size.
        """
        rgb = as_pixels(rgb)
        if rgb.dtype != np.uint8:
            message = f"images are {rgb.dtype}, but must be uint8 in RGB order"
            raise InputError(message)
        if rgb.ndim != 4 or rgb.shape[1:] != (self.height, self.width, 3):
            message = (
                f"images have shape {rgb.shape}, but must be (batch, {self.height}, "
                f"{self.width}, 3)"
            )
            raise InputError(message)
        pixels = rgb if self.channels == "RGB" else rgb[..., ::-1]
        mean, std = np.asarray(self.mean, dtype), np.asarray(self.std, dtype)
        return (pixels.astype(dtype) - mean) / std

    def with_pixels(self, text: str) -> "Preprocessing":
        """Change channel order, mean and scale to what a text says.

        Parameters
        ----------
        text
            ``CHANNELS,MEAN,STD``: RGB or BGR, and two numbers in units of pixel values
            (0 to 255).

        Returns
        -------
        Preprocessing
            For images of the same size.

        Raises
        ------
        InputError
            If it says anything else.

        Examples
        --------
        >>> Preprocessing().with_pixels("BGR,0,255").describe()
        '112×112 BGR, (x - 0) / 255'
        """
        channels, *numbers = text.split(",")
        try:
            mean, std = (float(number) for number in numbers)
            return dataclasses.replace(
                self, channels=channels.upper(), mean=mean, std=std
            )
        except ValueError as error:
            message = (
                f"pixels {text!r} is not CHANNELS,MEAN,STD in units of 0 to 255; give "
                "them as RGB,127.5,127.5"
            )
            raise InputError(message) from error

    def describe(self) -> str:
        """Say it in a line.

        >>> Preprocessing().describe()
        '112×112 RGB, (x - 127.5) / 127.5'
        """
        # All digits: a run is continued only with the same.
        mean, std = (repr(float(v)).removesuffix(".0") for v in (self.mean, self.std))
        return f"{self.height}×{self.width} {self.channels}, (x - {mean}) / {std}"

    def to_json(self) -> str:
        """Serialise for the metadata of a weights file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


ARCFACE_PIXELS = Preprocessing()
"""What ArcFace's networks expect, and most others."""
