"""Score weights by their absolute value (L1 magnitude), the choice of PreFIQs."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.scores.entry import ScoreEntry


def magnitude(name: str, weights: NDArray) -> NDArray:  # noqa: ARG001 (a Score's form)
    """Score a weight by its absolute value; the smallest go first.

    Equals ``torch.nn.utils.prune.L1Unstructured``. Shape as ``weights``.

    References
    ----------
    Han et al. (2015). Learning both weights and connections for efficient neural
    networks. NeurIPS. arXiv:1506.02626.
    """
    return np.abs(weights)


ENTRY = ScoreEntry(
    "magnitude",
    "smallest absolute values go first (PreFIQs)",
    lambda _: magnitude,
    "|w|",
    "Han et al. (2015), arXiv:1506.02626; Kolf et al. (2026), arXiv:2605.13396",
)
