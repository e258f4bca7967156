"""Score weights by the loss's curvature along them (optimal brain damage)."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def obd(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by w² H_kk / 2, H the Hessian of the mean loss.

    Its diagonal is estimated by sign probes, see
    :attr:`prefiqs_jax.masks.Context.curvature`. Shape as ``weights``. The loss without
    labels is that of :func:`prefiqs_jax.masks.scores.snip.snip`, for the same reasons.

    References
    ----------
    LeCun, Denker and Solla (1990). Optimal brain damage. NeurIPS 2. Equation 3, and
    step 4 of the recipe in Section 2.2.
    """
    return np.square(weights) * context.curvature[name] / 2


ENTRY = ScoreEntry(
    "obd",
    "least second-order changes of the loss, by its curvature, go first",
    lambda _: obd,
    "w² H_kk / 2, H the Hessian of the loss on calibration images",
    "LeCun et al. (1990), NeurIPS 2, Equation 3 and Section 2.2",
    "8 forwards an image",
    signed=True,
)
