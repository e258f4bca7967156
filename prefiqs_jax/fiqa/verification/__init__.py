"""Comparisons of faces: their similarity, thresholds and error rates."""

from prefiqs_jax.fiqa.verification.det import equal_error_rate
from prefiqs_jax.fiqa.verification.verification import (
    OperatingPoint,
    angular_similarity,
    fmr_at,
    fnmr_at,
    is_zero_fmr,
    nearest_threshold,
    operating_point,
    threshold_at_fmr,
)

__all__ = [
    "OperatingPoint",
    "angular_similarity",
    "equal_error_rate",
    "fmr_at",
    "fnmr_at",
    "is_zero_fmr",
    "nearest_threshold",
    "operating_point",
    "threshold_at_fmr",
]
