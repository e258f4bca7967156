"""Sweep sparsities over a folder of faces, and score a folder at one."""

from prefiqs_jax.sweep.rows import measure_images
from prefiqs_jax.sweep.runner import SweepOptions, sweep
from prefiqs_jax.sweep.score import score

__all__ = ["SweepOptions", "measure_images", "score", "sweep"]
