"""First-order and finite change of embeddings along a direction of the weights.

Every function takes ``(apply_fn, params, delta, images)`` in this order, compiles
nothing and keeps no state: wrap it in ``jax.jit`` with params and images as arguments.
"""

from prefiqs_jax.sensitivity.agreement import Agreement, agreement
from prefiqs_jax.sensitivity.controls import (
    CONTROLS,
    check_controls,
    control_delta,
    control_responses,
)
from prefiqs_jax.sensitivity.embedding import (
    check_norms,
    drift_of,
    embed,
    norms,
    unit,
)
from prefiqs_jax.sensitivity.expected import (
    Directions,
    Estimate,
    control_directions,
    expected_squared_drift,
    random_masks,
)
from prefiqs_jax.sensitivity.finite import displacement, drift
from prefiqs_jax.sensitivity.first_order import (
    embedding_jvp,
    embedding_jvps,
    first_order,
)
from prefiqs_jax.sensitivity.linearise import Linearised, check_delta, linearise
from prefiqs_jax.sensitivity.metric import (
    Eigen,
    Share,
    metric_eigenvalues,
    metric_trace,
    share_in_subspace,
)

__all__ = [
    "CONTROLS",
    "Agreement",
    "Directions",
    "Eigen",
    "Estimate",
    "Linearised",
    "Share",
    "agreement",
    "check_controls",
    "check_delta",
    "check_norms",
    "control_delta",
    "control_directions",
    "control_responses",
    "displacement",
    "drift",
    "drift_of",
    "embed",
    "embedding_jvp",
    "embedding_jvps",
    "expected_squared_drift",
    "first_order",
    "linearise",
    "metric_eigenvalues",
    "metric_trace",
    "norms",
    "random_masks",
    "share_in_subspace",
    "unit",
]
