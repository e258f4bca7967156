"""Score files of other programs: reading, matching to images, checks.

The way of a file: :func:`read_scores` gives its rows as they stand there, :func:`match`
one quality for each image of a benchmark, :func:`check_direction` a warning if
that quality looks reversed.
"""

from prefiqs_jax.scorefiles.direction import check_direction
from prefiqs_jax.scorefiles.matching import Matched, match
from prefiqs_jax.scorefiles.reading import read_scores
from prefiqs_jax.scorefiles.scores import Direction, Scores

__all__ = [
    "Direction",
    "Matched",
    "Scores",
    "check_direction",
    "match",
    "read_scores",
]
