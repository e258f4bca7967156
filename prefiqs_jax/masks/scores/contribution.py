"""Score weights by the first-order drift that each alone would cause."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def contribution(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by |w| ‖J e_w‖: the first-order drift of pruning it alone.

    J is the Jacobian of the unit embedding; the norm is the root mean square over
    calibration images. What PreFIQs' theory calls important, weight by weight: among
    random masks it is the expected squared first-order drift that these add up to.
    Shape as ``weights``. No loss is needed.

    References
    ----------
    After Kolf et al. (2026). PreFIQs. arXiv:2605.13396: the first order of the drift.
    """
    return np.abs(weights) * context.jvp_contribution[name]


def inverse_contribution(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by minus its :func:`contribution`: the most important go first.

    The control of that score: whatever pruning tells, this mask causes the most of it.
    """
    return -contribution(name, weights, context)


ENTRIES = (
    ScoreEntry(
        "contribution",
        "weights that alone cause the least first-order drift go first",
        lambda _: contribution,
        "|w| ‖J e_w‖, J the Jacobian of the unit embedding on calibration images",
        "after Kolf et al. (2026), arXiv:2605.13396",
        "4 forwards an image, one image at a time",
    ),
    ScoreEntry(
        "inverse-contribution",
        "weights that alone cause the most first-order drift go first",
        lambda _: inverse_contribution,
        "-|w| ‖J e_w‖",
        "after Kolf et al. (2026), arXiv:2605.13396",
        "4 forwards an image, one image at a time",
        signed=True,
    ),
)
