"""Score weights by their size times that of what they multiply (Wanda)."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def wanda(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by |w| ‖X‖₂, X the inputs that it meets on calibration images.

    Shape as ``weights``. The paper compares the weights of one output with each other
    (allocation ``output``).

    References
    ----------
    Sun et al. (2024). A simple and effective pruning approach for large language
    models. ICLR. arXiv:2306.11695, Equation 1.
    """
    return np.abs(weights) * context.input_norms[name]


ENTRY = ScoreEntry(
    "wanda",
    "smallest products of weight and input norm go first",
    lambda _: wanda,
    "|w| ‖X‖₂, X the inputs of w over calibration images and places",
    "Sun et al. (2024), ICLR, arXiv:2306.11695, Equation 1",
    "2 forwards an image",
)
