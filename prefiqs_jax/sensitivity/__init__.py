"""First-order and finite change of embeddings along a direction of the weights.

Every function takes ``(apply_fn, params, delta, images)`` in this order, compiles
nothing and keeps no state: wrap it in ``jax.jit`` with params and images as arguments.
"""

from prefiqs_jax.sensitivity.agreement import (
    Agreement,
    agreement,
)
from prefiqs_jax.sensitivity.controls import (
    CONTROLS,
    check_controls,
    control_delta,
    control_responses,
    responses_along,
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
from prefiqs_jax.sensitivity.finite import (
    displacement,
    drift,
)
from prefiqs_jax.sensitivity.first_order import (
    embedding_jvp,
    embedding_jvps,
    first_order,
)
from prefiqs_jax.sensitivity.kinks import (
    KinkSplit,
    LinearisedKinks,
    Pruned,
    activations,
    first_order_jump,
    frozen,
    kink_split,
    linearise_kinks,
    near_kinks,
    predicted_flips,
    sign_flips,
)
from prefiqs_jax.sensitivity.layers import (
    LinearisedLayers,
    PathContributions,
    contributions_given,
    layer_contributions,
    leaves_by_depth,
    linearise_layers,
    path_layer_contributions,
)
from prefiqs_jax.sensitivity.linearise import (
    Linearised,
    check_delta,
    linearise,
)
from prefiqs_jax.sensitivity.metric import (
    Eigen,
    Share,
    metric_eigenvalues,
    metric_trace,
    share_in_subspace,
)
from prefiqs_jax.sensitivity.opened import (
    Opened,
    open_kinks,
    sides_of,
)
from prefiqs_jax.sensitivity.path import (
    PathIntegral,
    path_displacement,
    path_integral,
)
from prefiqs_jax.sensitivity.pixels import (
    pixel_gradient,
    pixel_map,
)
from prefiqs_jax.sensitivity.series import PartialSums, partial_sums, predicted_error
from prefiqs_jax.sensitivity.taylor import Expansion, expand, taylor
from prefiqs_jax.sensitivity.validity import (
    Slopes,
    displacements_along,
    largest_valid,
    local_slopes,
    remainders,
    taylor_sums,
)

__all__ = [
    "CONTROLS",
    "Agreement",
    "Directions",
    "Eigen",
    "Estimate",
    "Expansion",
    "KinkSplit",
    "Linearised",
    "LinearisedKinks",
    "LinearisedLayers",
    "Opened",
    "PartialSums",
    "PathContributions",
    "PathIntegral",
    "Pruned",
    "Share",
    "Slopes",
    "activations",
    "agreement",
    "check_controls",
    "check_delta",
    "check_norms",
    "contributions_given",
    "control_delta",
    "control_directions",
    "control_responses",
    "displacement",
    "displacements_along",
    "drift",
    "drift_of",
    "embed",
    "embedding_jvp",
    "embedding_jvps",
    "expand",
    "expected_squared_drift",
    "first_order",
    "first_order_jump",
    "frozen",
    "kink_split",
    "largest_valid",
    "layer_contributions",
    "leaves_by_depth",
    "linearise",
    "linearise_kinks",
    "linearise_layers",
    "local_slopes",
    "metric_eigenvalues",
    "metric_trace",
    "near_kinks",
    "norms",
    "open_kinks",
    "partial_sums",
    "path_displacement",
    "path_integral",
    "path_layer_contributions",
    "pixel_gradient",
    "pixel_map",
    "predicted_error",
    "predicted_flips",
    "random_masks",
    "remainders",
    "responses_along",
    "share_in_subspace",
    "sides_of",
    "sign_flips",
    "taylor",
    "taylor_sums",
    "unit",
]
