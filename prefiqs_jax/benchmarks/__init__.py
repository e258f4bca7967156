"""Verification benchmarks as they are on disk, read into one form.

Images stay encoded until they are loaded; see :mod:`prefiqs_jax.images`.
"""

from prefiqs_jax.benchmarks.all_pairs import benchmark_of
from prefiqs_jax.benchmarks.benchmark import Benchmark, Comparisons, Templates
from prefiqs_jax.benchmarks.degraded import copy_named, degraded_folder, with_degraded
from prefiqs_jax.benchmarks.published import PUBLISHED
from prefiqs_jax.benchmarks.read import KINDS, read_benchmark

__all__ = [
    "KINDS",
    "PUBLISHED",
    "Benchmark",
    "Comparisons",
    "Templates",
    "benchmark_of",
    "copy_named",
    "degraded_folder",
    "read_benchmark",
    "with_degraded",
]
