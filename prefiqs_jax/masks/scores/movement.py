"""Score weights by how far training moved them from zero (movement)."""

from numpy.typing import NDArray

from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry


def movement(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by w (w - w₀), w₀ the same weight in an earlier checkpoint.

    Weights that moved towards zero go first. The paper sums -w ∂L/∂w over the steps of
    the training; for gradient descent at one rate each step moves w by minus that rate
    times the gradient, so that between two checkpoints this is that sum, w taken at its
    end. Shape as ``weights``.

    References
    ----------
    Sanh, Wolf and Rush (2020). Movement pruning: adaptive sparsity by fine-tuning.
    NeurIPS. arXiv:2005.07683, Equation 3.
    """
    return weights * (weights - context.earlier[name])


ENTRY = ScoreEntry(
    "movement",
    "weights that training moved towards zero go first (needs --earlier)",
    lambda _: movement,
    "w (w - w₀), w₀ of the earlier checkpoint",
    "Sanh et al. (2020), NeurIPS, arXiv:2005.07683, Equation 3",
    "none: two checkpoints",
    signed=True,
)
