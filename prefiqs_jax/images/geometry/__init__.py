"""Geometry of aligned faces: templates, similarity transforms, crops. No files."""

from prefiqs_jax.images.geometry.crop import align, warp
from prefiqs_jax.images.geometry.landmarks import check_landmarks
from prefiqs_jax.images.geometry.misalign import (
    ALIGNED,
    Misalignment,
    error_matrix,
    misaligned_crops,
    misalignments,
)
from prefiqs_jax.images.geometry.similarity import compose, similarity, transform
from prefiqs_jax.images.geometry.templates import (
    LANDMARKS,
    TEMPLATES,
    Template,
    template_named,
)

__all__ = [
    "ALIGNED",
    "LANDMARKS",
    "TEMPLATES",
    "Misalignment",
    "Template",
    "align",
    "check_landmarks",
    "compose",
    "error_matrix",
    "misaligned_crops",
    "misalignments",
    "similarity",
    "template_named",
    "transform",
    "warp",
]
