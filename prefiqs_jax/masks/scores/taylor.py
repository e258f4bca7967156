"""Score weights by the mean change of each image's loss, to first order (Taylor)."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def taylor(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by E|w g|, g the gradient of one image's loss.

    The absolute value is taken of each image's change before the mean, where SNIP takes
    it of the mean: changes of opposite signs do not cancel. The paper scores feature
    maps by it, this function single weights. Shape as ``weights``. The loss without
    labels is that of :func:`prefiqs_jax.masks.scores.snip.snip`, for the same reasons.

    References
    ----------
    Molchanov et al. (2017). Pruning convolutional neural networks for resource
    efficient inference. ICLR. arXiv:1611.06440, Equation 7.
    """
    return np.abs(weights) * context.absolute_gradients[name]


ENTRY = ScoreEntry(
    "taylor",
    "least mean absolute first-order changes of an image's loss go first",
    lambda _: taylor,
    "E|w g|, g the gradient of one calibration image's loss",
    "after Molchanov et al. (2017), ICLR, arXiv:1611.06440, Equation 7",
    "4 forwards an image, one image at a time",
)
