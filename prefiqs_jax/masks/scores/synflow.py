"""Score weights by their share in the network's flow, without data (SynFlow)."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores.entry import ScoreEntry
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import Params


def synflow(name: str, weights: NDArray, context: Context) -> NDArray:
    """Score a weight by |w| ∂R/∂|w|, R the sum of outputs of |θ| for an input of ones.

    The images of the context are not looked at, only their shape. Shape as ``weights``.
    One round: the paper prunes in a hundred, scoring what is left each time, which no
    single ranking can. In float32 the flow of a deep network overflows; then all
    prunable weights are scaled down by one power of two, which scales all scores alike
    where biases are negligible beside such a flow.

    Raises
    ------
    InputError
        If the flow is not finite at any scale.

    References
    ----------
    Tanaka et al. (2020). Pruning neural networks without any data by iteratively
    conserving synaptic flow. NeurIPS. arXiv:2006.05467, Equation 2 and Algorithm 1.
    """
    return np.abs(weights) * context.once(_slopes)[name]


def _slopes(context: Context) -> Mapping[str, NDArray]:
    """Compute ∂R/∂|w| of every leaf."""
    images = context.images
    ones = jnp.ones((1, *images.shape[1:]), images.dtype)
    leaves = [(n, np.asarray(w)) for n, w in named_leaves(context.params)]

    @jax.jit
    def slopes(params: Params, scale: Array) -> Params:
        def positive(weights: Array) -> Array:
            factor = scale if jnp.ndim(weights) > 1 else jnp.ones_like(scale)
            return jnp.abs(weights) * factor.astype(weights.dtype)

        def flow(absolute: Params) -> Array:
            return jnp.sum(context.apply_fn(absolute, ones))

        return jax.grad(flow)(jax.tree.map(positive, params))

    largest = max(float(np.abs(leaf).max(initial=0)) for _, leaf in leaves)
    for exponent in range(0, 33, 2):
        found = slopes(context.params, jnp.float32(2.0**-exponent))
        top = max(
            float(jnp.abs(leaf).max(initial=0)) for leaf in jax.tree.leaves(found)
        )
        # The score is the slope times the weight.
        if top * largest < float(jnp.finfo(images.dtype).max):
            return {name: np.asarray(leaf) for name, leaf in named_leaves(found)}
    message = "synflow: the flow through the weights is not finite; use another score"
    raise InputError(message)


ENTRY = ScoreEntry(
    "synflow",
    "weights with the least share in the flow of an input of ones go first",
    lambda _: synflow,
    "|w| ∂R/∂|w|, R the sum of outputs of the absolute weights for an input of ones",
    "Tanaka et al. (2020), NeurIPS, arXiv:2006.05467, Equation 2; one round",
    "3 forwards in all",
)
