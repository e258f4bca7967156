"""Score weights at random, from a key: the baseline that any other score must beat."""

import zlib

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.scores.entry import ScoreEntry
from prefiqs_jax.types import Score


def random(seed: int) -> Score:
    """Make a score that orders weights at random.

    Each leaf draws from a stream of its own, keyed by the seed and the leaf's name, so
    neither the order nor the presence of other leaves matters.

    Parameters
    ----------
    seed
        Key of the draw, a non-negative integer.

    Returns
    -------
    Score
        ``(name, weights) -> scores`` of the shape of ``weights``, uint32.

    Examples
    --------
    >>> w = np.zeros((2, 3))
    >>> bool((random(0)("fc", w) == random(0)("fc", w)).all())
    True
    >>> bool((random(0)("fc", w) == random(1)("fc", w)).all())
    False
    """

    def score(name: str, weights: NDArray) -> NDArray[np.uint32]:
        stream = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
        generator = np.random.Generator(np.random.PCG64(stream))
        return generator.integers(0, 2**32, np.shape(weights), dtype=np.uint32)

    score.__name__ = "random"
    return score


ENTRY = ScoreEntry(
    "random", "random weights go, keyed by --seed", random, "a random number of w alone"
)
