"""Sweep sparsities over a folder of faces."""

import importlib
import warnings
from typing import Any

from prefiqs_jax.sweep.arrays import sweep_arrays
from prefiqs_jax.sweep.rows import measure_images
from prefiqs_jax.sweep.runner import SweepOptions, sweep

__all__ = ["SweepOptions", "measure_images", "sweep", "sweep_arrays"]


def __getattr__(name: str) -> Any:
    if name == "score":
        message = "score is prefiqs_jax.quality.score now; sweep.score goes with 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return importlib.import_module("prefiqs_jax.quality").score
    message = f"module 'prefiqs_jax.sweep' has no attribute {name!r}"
    raise AttributeError(message)
