"""Error-versus-discard curves: the errors left once the worst comparisons go."""

from prefiqs_jax.fiqa.discard.discard import pair_quality

__all__ = ["pair_quality"]
