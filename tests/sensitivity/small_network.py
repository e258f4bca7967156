"""A network of 18 prunable weights, whose whole Jacobian is at hand."""

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.sensitivity import embed

_rng = np.random.default_rng(0)
PARAMS = {
    "first": {
        "bias": jnp.array(_rng.normal(size=3), np.float64),
        "kernel": jnp.array(_rng.normal(size=(2, 3)), np.float64),
    },
    "second": {"kernel": jnp.array(_rng.normal(size=(3, 4)), np.float64)},
}
IMAGES = jnp.array(_rng.normal(size=(3, 2)), np.float64)
KERNELS = (1, 2)
"""Places of what may be pruned among the leaves."""


def network(params, images):
    first = params["first"]
    hidden = jnp.tanh(images @ first["kernel"] + first["bias"][None])
    return hidden @ params["second"]["kernel"]


def flat(tree, leaves=KERNELS, axes=0):
    """Put some leaves side by side, with leading axes: (…, weights)."""
    parts = [np.asarray(jax.tree.leaves(tree)[i]) for i in leaves]
    return np.concatenate([part.reshape(*part.shape[:axes], -1) for part in parts], -1)


def jacobian(leaves=KERNELS):
    """Give J of the unit embedding by some leaves, shape (batch, dim, weights)."""
    dense = jax.jit(jax.jacfwd(lambda p: embed(network, p, IMAGES)))(PARAMS)
    return flat(dense, leaves, 2)
