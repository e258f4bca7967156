"""Quality scores of face images, each by its own published definition.

>>> from prefiqs_jax.quality import METHODS
>>> METHODS["prefiqs"].forwards
'1 + S'
"""

from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.make import make_scorers
from prefiqs_jax.quality.methods import METHODS, Method
from prefiqs_jax.quality.scorer import Qualities, Scorer, image_seeds

__all__ = [
    "METHODS",
    "Draws",
    "Method",
    "Qualities",
    "Scorer",
    "image_seeds",
    "make_scorers",
]
