"""The whole evaluation: networks, benchmarks and qualities in; tables and figures out.

A network embeds and scores the images of benchmarks; qualities of every origin are
held against its recognition errors, and those of other networks, with intervals.
"""

from prefiqs_jax.evaluation.compare import Comparison, compare
from prefiqs_jax.evaluation.options import EvaluationOptions, Verifier
from prefiqs_jax.evaluation.qualities import Quality, ScoreSource
from prefiqs_jax.evaluation.run import Evaluated, evaluate
from prefiqs_jax.evaluation.tables import paper_table

__all__ = [
    "Comparison",
    "Evaluated",
    "EvaluationOptions",
    "Quality",
    "ScoreSource",
    "Verifier",
    "compare",
    "evaluate",
    "paper_table",
]
