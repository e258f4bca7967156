"""What every degradation promises, so that any function that keeps it can join."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Degradation(Protocol):
    """A function that makes one picture worse, the more so the higher the severity.

    The first line of its docstring says what it does; the rest says what a severity of
    1 means. Lengths scale with the side of the picture, so that a severity looks alike
    in every size.
    """

    def __call__(
        self, picture: np.ndarray, severity: float, rng: np.random.Generator, /
    ) -> np.ndarray:
        """Degrade one picture.

        Parameters
        ----------
        picture
            Shape (height, width, 3), uint8, RGB. Must not be changed.
        severity
            In (0, 1]: 0 never gets here, as the picture then stays as it is.
        rng
            In the same state at every severity: draw first, in an order and number that
            do not depend on the severity, and let the severity only scale what was
            drawn. Then the pictures of one ladder differ in nothing but severity.

        Returns
        -------
        np.ndarray
            Same shape, any real dtype, on the scale of 0 to 255; `degrade` rounds to
            the nearest integer and clips.
        """
        ...
