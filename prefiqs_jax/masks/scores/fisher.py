"""Score weights by the empirical Fisher information's diagonal."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def fisher(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by w² E[g²] / 2, g the gradient of one image's loss.

    What removing w adds to the loss, to second order, where its Hessian is the
    empirical Fisher information and nothing but the diagonal counts. Shape as
    ``weights``. The loss without labels is that of
    :func:`prefiqs_jax.masks.scores.snip.snip`, for the same reasons.

    References
    ----------
    Theis et al. (2018). Faster gaze prediction with dense networks and Fisher pruning.
    arXiv:1801.05787: Fisher pruning, here of single weights.
    """
    return np.square(weights) * context.second_moments[name] / 2


ENTRY = ScoreEntry(
    "fisher",
    "least second-order changes of the loss, by the Fisher's diagonal, go first",
    lambda _: fisher,
    "w² E[g²] / 2, g the gradient of one calibration image's loss",
    "Theis et al. (2018), arXiv:1801.05787",
    "4 forwards an image, one image at a time",
)
