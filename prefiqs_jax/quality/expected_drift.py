"""Expected drift: the first order of PreFIQs averaged over directions of its norm.

The quality is -√E‖J_θ z(x; θ) δ‖², δ drawn uniformly among the directions that have, in
every layer, the norm of the pruning direction of ``global/magnitude`` at sparsity 0.4:

    E‖J δ‖² = Σ_l r_l² / n_l ‖J_l‖²,   n_l weights of layer l, r_l the norm of δ there.

PreFIQs measures the drift along one such direction, the pruning one; where that is
nothing special, this is what it samples once. The mean is estimated by k directions of
random signs, r_l / √n_l each weight, that all images share: they depend on the seed
alone, so that an image has the same quality in any company.

References
----------
Derivation: docs/theory.md. Hutchinson (1989). A stochastic estimator of the trace of
the influence matrix. Communications in Statistics 18. Kolf et al. (2026). PreFIQs.
CVPRW. arXiv:2605.13396.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from prefiqs_jax.execution.batches import ImageFunction
from prefiqs_jax.execution.precision import at_precision
from prefiqs_jax.execution.slices import in_slices
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.method import Method, Passes
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.sensitivity import (
    Directions,
    control_directions,
    expected_squared_drift,
)
from prefiqs_jax.types import ApplyFn

NAME = "expected-drift"
SPARSITY = 0.4
"""Of the pruning direction whose norms are taken: the default of PreFIQs."""


def root_expected_drift(
    apply_fn: ApplyFn,
    drawn_from: Directions,
    *,
    directions: int = Draws.expected_drift_directions,
    seed: int = 0,
) -> ImageFunction:
    """Make the function that computes √E‖J δ‖², 1 + 2 k forwards.

    It maps (params, images, seeds), of which it does not use the seeds, to first-order
    distances of unit embeddings, (batch,).

    Parameters
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    drawn_from
        Mean and covariance of δ; of mean 0, with scalars as scales.
    directions
        k.
    seed
        It determines their signs.
    """

    def root(params: Any, images: Array, seeds: Array) -> Array:
        del seeds
        key = jax.random.key(seed)
        found = expected_squared_drift(
            apply_fn, params, drawn_from, images, probes=directions, key=key
        )
        return jnp.sqrt(found.value)

    return root


def _make(passes: Passes, draws: Draws) -> Scorer:
    params = passes.backbone.params
    delta = pruning_delta(params, globally(magnitude)(params, SPARSITY))
    norms = control_directions("gaussian", params, delta)
    apply_fn = at_precision(passes.backbone.apply_fn, passes.precision)
    drawn = draws.of("expected_drift")
    function = root_expected_drift(
        in_slices(apply_fn, passes.slice_size), norms, **drawn
    )
    # Slices of the network alone: the signs of all weights are drawn once a batch.
    run = passes.run(function, slices=False)
    return scorer(
        [NAME],
        lambda images, seeds: {NAME: -run(images, seeds)},
        expected_drift={**drawn, "sparsity": SPARSITY},
    )


METHODS = (
    Method(
        NAME,
        "minus the root mean square first-order drift over 8 random directions, in "
        "every layer of the norm of the pruning direction at sparsity 0.4",
        "1 + 16",
        "Kolf et al. (2026). PreFIQs. CVPRW. arXiv:2605.13396 (the direction's norms)",
        _make,
    ),
)
