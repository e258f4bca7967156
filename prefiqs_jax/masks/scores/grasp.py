"""Score weights by what removing them does to the gradient's norm (GraSP)."""

from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def grasp(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by w (H g), g and H gradient and Hessian of the mean loss.

    -w (H g) is half of what removing w adds to ‖g‖²; where that is large the weight
    stands in the gradient's way, and goes first. Shape as ``weights``. The loss without
    labels is that of :func:`prefiqs_jax.masks.scores.snip.snip`, for the same reasons.

    References
    ----------
    Wang, Zhang and Grosse (2020). Picking winning tickets before training by preserving
    gradient flow. ICLR. arXiv:2002.07376, Equation 8.
    """
    return weights * context.hessian_gradient[name]


ENTRY = ScoreEntry(
    "grasp",
    "weights whose loss adds most to the gradient's norm go first",
    lambda _: grasp,
    "w (H g), g and H gradient and Hessian of the loss on calibration images",
    "Wang et al. (2020), ICLR, arXiv:2002.07376, Equation 8",
    "12 forwards an image",
    signed=True,
)
