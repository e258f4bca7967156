"""A random quality: the baseline that any score must beat."""

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.method import Method, Passes
from prefiqs_jax.quality.scorer import Scorer, scorer

NAME = "random"


def random_quality(seeds: NDArray[np.uint32], seed: int) -> NDArray[np.float64]:
    """Draw a number in [0, 1) for each image from its seed (n,) and a seed of the run.

    >>> first, again = (random_quality(np.array([7, 8], np.uint32), 0) for _ in "ab")
    >>> bool((first == again).all()), bool(first[0] != first[1])
    (True, True)
    """
    return np.array([np.random.default_rng((seed, int(s))).random() for s in seeds])


def _make(passes: Passes, draws: Draws) -> Scorer:
    del passes
    return scorer(
        [NAME],
        lambda _, seeds: {NAME: random_quality(seeds, draws.seed)},
        random={"seed": draws.seed},
    )


METHODS = (
    Method(NAME, "a number drawn for each image, as a baseline", "0", "", _make),
)
