"""Quality scores of face images, each by its own published definition.

>>> from prefiqs_jax.quality import METHODS
>>> METHODS["prefiqs"].forwards
'1 + S'
"""

from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.make import make_scorers
from prefiqs_jax.quality.method import Method, Passes
from prefiqs_jax.quality.methods import METHODS, check_methods, method_names
from prefiqs_jax.quality.score import score
from prefiqs_jax.quality.scorer import (
    NotFinite,
    Qualities,
    Scorer,
    image_seeds,
    score_images,
)

__all__ = [
    "METHODS",
    "Draws",
    "Method",
    "NotFinite",
    "Passes",
    "Qualities",
    "Scorer",
    "check_methods",
    "image_seeds",
    "make_scorers",
    "method_names",
    "score",
    "score_images",
]
