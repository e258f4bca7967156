"""Check that a network gets its pixels as it was trained: channels and scaling."""

from prefiqs_jax.inputcheck.compare import MAX_IMAGES, compare_preprocessing
from prefiqs_jax.inputcheck.describe import table, verdict
from prefiqs_jax.inputcheck.fits import PreprocessingComparison, PreprocessingFit

__all__ = [
    "MAX_IMAGES",
    "PreprocessingComparison",
    "PreprocessingFit",
    "compare_preprocessing",
    "table",
    "verdict",
]
