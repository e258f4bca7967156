"""Changes of the weights that come from elsewhere: other checkpoints, quantisation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.context import Context
from prefiqs_jax.trees import is_prunable, map_named, named_leaves
from prefiqs_jax.types import Delta, Mask, Params, Prunable


def delta_between(params: Params, other: Params) -> Delta:
    """Compute the change that turns one set of weights into another.

    Parameters
    ----------
    params
        Dense weights θ.
    other
        Weights of the same network: pruned elsewhere, fine-tuned, quantised.

    Returns
    -------
    Delta
        other - θ: same structure, shapes and types as ``params``.

    Raises
    ------
    InputError
        If they differ in structure, or a leaf in shape or type.

    Examples
    --------
    >>> delta_between({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([1.0, 0.0])})
    {'w': Array([ 0., -2.], dtype=...)}
    """
    _check_alike(params, other)
    return jax.tree.map(jnp.subtract, other, params)


def mask_between(params: Params, pruned: Params) -> Mask:
    """Find the mask by which a network was pruned elsewhere.

    Parameters
    ----------
    params
        Dense weights.
    pruned
        The same network, pruned: weights that are zero there and not here have gone.

    Returns
    -------
    Mask
        Same structure and shapes, bool, True = keep.

    Raises
    ------
    InputError
        If they differ in structure, shape or type; or a weight that is not zero has
        changed: then it was trained or rounded after pruning, and the whole change is
        :func:`delta_between`'s.
    """
    _check_alike(params, pruned)

    def keep(name: str, dense: Any, own: Any) -> np.ndarray:
        dense, own = np.asarray(dense), np.asarray(own)
        gone = (own == 0) & (dense != 0)
        changed = np.count_nonzero((own != dense) & ~gone)
        if changed:
            message = (
                f"{name}: {changed} weights changed without becoming zero, so this is "
                "more than a mask; take delta_between(params, other)"
            )
            raise InputError(message)
        return ~gone

    return map_named(keep, params, pruned)


def quantised(
    params: Params,
    bits: int,
    prunable: Prunable = is_prunable,
    context: Context | None = None,
) -> Delta:
    """Compute the change by rounding weights to whole multiples of a step.

    Symmetric and uniform, one step for each output, as the largest weight of that
    output needs: w ≈ q Δ with Δ = max|w| / (2^(bits - 1) - 1).

    Parameters
    ----------
    params
        Dense weights.
    bits
        From 2 to 16, with sign.
    prunable
        Leaves to round; the others stay.
    context
        The network, which tells the axis of the outputs; None = the last, as in Flax.

    Returns
    -------
    Delta
        Rounded weights minus weights.

    Raises
    ------
    InputError
        If there are fewer or more bits.

    References
    ----------
    Jacob et al. (2018). Quantization and training of neural networks for efficient
    integer-arithmetic-only inference. CVPR. arXiv:1712.05877, Section 3.

    Examples
    --------
    >>> quantised({"w": np.array([[1.0], [0.4]])}, 2)["w"].ravel().tolist()
    [0.0, -0.4]
    """
    if not 2 <= bits <= 16:
        message = f"{bits} bits: give from 2 to 16"
        raise InputError(message)
    largest = 2 ** (bits - 1) - 1
    bound = context and context.bind(params)

    def change(name: str, leaf: Any) -> np.ndarray:
        weights = np.asarray(leaf)
        if not prunable(name, weights):
            return np.zeros_like(weights)
        last = weights.ndim - 1
        output = last if bound is None else bound.axes(name, last)[0]
        axes = tuple(axis for axis in range(weights.ndim) if axis != output)
        top = np.abs(weights).max(axis=axes, keepdims=True)
        step = np.where(top > 0, top / largest, 1).astype(weights.dtype)
        return (np.round(weights / step) * step - weights).astype(weights.dtype)

    return map_named(change, params)


def noise(
    params: Params, relative: float, seed: int = 0, prunable: Prunable = is_prunable
) -> Delta:
    """Draw Gaussian noise of a given norm relative to each leaf's.

    Parameters
    ----------
    params
        Dense weights.
    relative
        ‖δ_l‖ / ‖θ_l‖ of every leaf l, exactly.
    seed
        Key of the draw.
    prunable
        Leaves that get noise.

    Returns
    -------
    Delta
        Same structure, shapes and types as ``params``.
    """
    generators = np.random.SeedSequence(seed).spawn(len(named_leaves(params)))
    draws = iter(generators)

    def change(name: str, leaf: Any) -> np.ndarray:
        weights, generator = np.asarray(leaf), np.random.default_rng(next(draws))
        if not prunable(name, weights):
            return np.zeros_like(weights)
        drawn = generator.standard_normal(weights.shape)
        factor = (
            relative * np.linalg.norm(weights.astype(float)) / np.linalg.norm(drawn)
        )
        return (factor * drawn).astype(weights.dtype)

    return map_named(change, params)


def _check_alike(params: Params, other: Params) -> None:
    """Raise InputError unless two sets of weights are of one network."""
    here, there = (
        {n: (jnp.shape(w), jnp.result_type(w)) for n, w in named_leaves(tree)}
        for tree in (params, other)
    )
    for name, (shape, dtype) in here.items():
        if name not in there:
            message = f"the other weights have no {name}; give those of one network"
            raise InputError(message)
        if there[name] != (shape, dtype):
            message = (
                f"{name} is {there[name][1]} of shape {there[name][0]} in the other "
                f"weights, but {dtype} of shape {shape} here; give those of one network"
            )
            raise InputError(message)
    if jax.tree.structure(params) != jax.tree.structure(other):
        more = ", ".join(n for n in there if n not in here) or "another structure"
        message = f"the other weights have {more}, too; give those of one network"
        raise InputError(message)
