"""Face image quality assessment: how well a quality finds the images that fail.

Numbers in, numbers out: embeddings or similarities, identities, qualities. Says of each
fraction or count in its name whether it is one of images or of comparisons.
"""

from prefiqs_jax.fiqa.discard import Removed, false_non_matches_removed, pair_quality
from prefiqs_jax.fiqa.edc import EDC, GRID, edc
from prefiqs_jax.fiqa.intervals import EDCBand, Interval, edc_intervals
from prefiqs_jax.fiqa.pairs import MOST_IMAGES, Pairs, all_pairs
from prefiqs_jax.fiqa.protocol import PROTOCOLS, Protocol
from prefiqs_jax.fiqa.summary import best_fnmr_after_discard, fnmr_after_discard, pauc
from prefiqs_jax.fiqa.verification import (
    angular_similarity,
    equal_error_rate,
    fmr_at,
    fnmr_at,
    threshold_at_fmr,
)

__all__ = [
    "EDC",
    "GRID",
    "MOST_IMAGES",
    "PROTOCOLS",
    "EDCBand",
    "Interval",
    "Pairs",
    "Protocol",
    "Removed",
    "all_pairs",
    "angular_similarity",
    "best_fnmr_after_discard",
    "edc",
    "edc_intervals",
    "equal_error_rate",
    "false_non_matches_removed",
    "fmr_at",
    "fnmr_after_discard",
    "fnmr_at",
    "pair_quality",
    "pauc",
    "threshold_at_fmr",
]
