"""Score weights by what removing them does to the loss, to first order (SNIP)."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def snip(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by |w ∂L/∂w|, L the mean loss of the calibration images.

    Shape as ``weights``. Connection sensitivity, but for the factor that normalises it
    over the network. Without labels, L is instance discrimination
    (:func:`prefiqs_jax.masks.instance_discrimination`): it asks of embeddings
    what recognition asks, that images stay apart, and unlike the distance to the dense
    embedding its gradient at the dense weights is not zero.

    References
    ----------
    Lee, Ajanthan and Torr (2019). SNIP: single-shot network pruning based on connection
    sensitivity. ICLR. arXiv:1810.02340, Equation 6.
    """
    return np.abs(weights * context.gradients[name])


ENTRY = ScoreEntry(
    "snip",
    "least first-order changes of the loss go first",
    lambda _: snip,
    "|w ∂L/∂w|, L instance discrimination on calibration images",
    "Lee et al. (2019), ICLR, arXiv:1810.02340, Equation 6",
    "4 forwards an image",
)
