"""First-order and finite change of embeddings along a direction of the weights.

Every function takes ``(apply_fn, params, delta, images)`` in this order, compiles
nothing and keeps no state: wrap it in ``jax.jit`` with params and images as arguments.
"""

from prefiqs_jax.sensitivity.agreement import Agreement, agreement
from prefiqs_jax.sensitivity.embedding import embed, unit
from prefiqs_jax.sensitivity.finite import displacement, drift
from prefiqs_jax.sensitivity.first_order import (
    embedding_jvp,
    embedding_jvps,
    first_order,
)

__all__ = [
    "Agreement",
    "agreement",
    "displacement",
    "drift",
    "embed",
    "embedding_jvp",
    "embedding_jvps",
    "first_order",
    "unit",
]
