"""First-order and finite change of embeddings along a direction of the weights.

Every function takes ``(apply_fn, params, delta, images)`` in this order, compiles
nothing and keeps no state: wrap it in ``jax.jit`` with params and images as arguments.
"""

from prefiqs_jax.sensitivity.agreement import Agreement, agreement
from prefiqs_jax.sensitivity.embedding import (
    check_norms,
    drift_of,
    embed,
    norms,
    unit,
)
from prefiqs_jax.sensitivity.finite import displacement, drift
from prefiqs_jax.sensitivity.first_order import (
    embedding_jvp,
    embedding_jvps,
    first_order,
)
from prefiqs_jax.sensitivity.layers import (
    PathContributions,
    contributions_given,
    layer_contributions,
    leaves_by_depth,
    path_layer_contributions,
)
from prefiqs_jax.sensitivity.linearise import Linearised, check_delta, linearise
from prefiqs_jax.sensitivity.pixels import pixel_gradient, pixel_map

__all__ = [
    "Agreement",
    "Linearised",
    "PathContributions",
    "agreement",
    "check_delta",
    "check_norms",
    "contributions_given",
    "displacement",
    "drift",
    "drift_of",
    "embed",
    "embedding_jvp",
    "embedding_jvps",
    "first_order",
    "layer_contributions",
    "leaves_by_depth",
    "linearise",
    "norms",
    "path_layer_contributions",
    "pixel_gradient",
    "pixel_map",
    "unit",
]
