"""From a mask to the pruning direction, and to what was really pruned."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.trees import is_prunable, named_leaves
from prefiqs_jax.types import Delta, Mask, Params, Prunable


def pruning_delta(params: Params, mask: Mask) -> Delta:
    """Compute the pruning direction δ = (mask - 1) ⊙ θ.

    ``params + delta`` is the pruned network, exactly: -θ where a weight goes, else 0.

    Parameters
    ----------
    params
        Tree of weights θ.
    mask
        Same structure and shapes, bool, True = keep.

    Returns
    -------
    Delta
        Same structure, shapes and dtypes as ``params``.

    Raises
    ------
    InputError
        If mask and parameters differ in structure, or a leaf in shape or dtype.

    Examples
    --------
    >>> pruning_delta({"w": jnp.array([2.0, 3.0])}, {"w": np.array([True, False])})
    {'w': Array([ 0., -3.], dtype=...)}
    """
    check_mask(params, mask)
    return jax.tree.map(lambda w, m: jnp.where(m, jnp.zeros_like(w), -w), params, mask)


def apply_mask(params: Params, mask: Mask) -> Params:
    """Set weights that go to zero: ``params + pruning_delta(params, mask)``."""
    check_mask(params, mask)
    return jax.tree.map(lambda w, m: jnp.where(m, w, jnp.zeros_like(w)), params, mask)


def achieved_sparsity(
    params: Params, mask: Mask, prunable: Prunable = is_prunable
) -> tuple[float, dict[str, float]]:
    """Count what a mask drops.

    Parameters
    ----------
    params
        Tree of weights.
    mask
        Same structure and shapes, bool, True = keep.
    prunable
        ``(leaf name, weights) -> bool``: which leaves the fraction is of. A leaf that
        loses weights is counted whether the predicate admits it or not.

    Returns
    -------
    total : float
        Dropped fraction of all prunable weights.
    layers : dict
        The same for each leaf, by name.
    """
    check_mask(params, mask)
    kept = [int(np.count_nonzero(keep)) for keep in jax.tree.leaves(mask)]
    sizes = [int(np.size(w)) for w in jax.tree.leaves(params)]
    dropped = [size - keep for size, keep in zip(sizes, kept, strict=True)]
    return dropped_fractions(params, dropped, prunable)


def dropped_fractions(
    params: Params, dropped: Sequence[int], prunable: Prunable = is_prunable
) -> tuple[float, dict[str, float]]:
    """Turn the number of weights that each leaf loses into fractions.

    Parameters
    ----------
    params
        Tree of weights.
    dropped
        One number for each leaf, in tree order.
    prunable
        As in :func:`achieved_sparsity`, and the same is returned.
    """
    sizes, drops = {}, {}
    for (name, weights), count in zip(named_leaves(params), dropped, strict=True):
        if count or prunable(name, weights):
            sizes[name], drops[name] = int(np.size(weights)), count
    layers = {name: drops[name] / max(1, sizes[name]) for name in sizes}
    return sum(drops.values()) / max(1, sum(sizes.values())), layers


def check_mask(params: Params, mask: Mask) -> None:
    """Raise InputError unless the mask is bool and shaped like the parameters."""
    if jax.tree.structure(params) != jax.tree.structure(mask):
        message = "mask and parameters differ in structure: make the mask from them"
        raise InputError(message)
    for (name, weights), (_, keep) in zip(
        named_leaves(params), named_leaves(mask), strict=True
    ):
        if np.shape(weights) != np.shape(keep) or keep.dtype != np.bool_:
            message = (
                f"{name}: mask is {keep.dtype} of shape {np.shape(keep)}, but must be "
                f"bool of shape {np.shape(weights)}"
            )
            raise InputError(message)
