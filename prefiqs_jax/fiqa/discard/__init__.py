"""Error-versus-discard curves: what is left of the errors once the worst images go."""

from prefiqs_jax.fiqa.discard.discard import (
    Removed,
    false_non_matches_removed,
    pair_quality,
)

__all__ = ["Removed", "false_non_matches_removed", "pair_quality"]
