"""Masks of many sparsities in one bit each, and the pruning direction read from them.

A sweep over S sparsities never holds S copies of the weights: it holds ⌈S / 8⌉ bytes a
weight, from which each direction is made where it is used. Any mask function packs,
nested or not.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.aliases import MaskFn, Params, Prunable
from prefiqs_jax.masks.allocation import RankedMask, check_sparsity
from prefiqs_jax.masks.direction import achieved_sparsity
from prefiqs_jax.trees import is_prunable, named_leaves


@dataclasses.dataclass(frozen=True)
class PackedMasks:
    """Masks of all sparsities of a sweep.

    Attributes
    ----------
    sparsities
        As requested, S of them.
    achieved
        Counted over all prunable weights, S of them.
    layers
        Counted for each prunable leaf: name to S fractions.
    sizes
        Weights in each prunable leaf.
    planes
        Per leaf of the parameters, in tree order: uint8 of shape
        (⌈S / 8⌉, *leaf shape), bit s set where the weight goes at sparsity s; None for
        a leaf that keeps all its weights.
    """

    sparsities: tuple[float, ...]
    achieved: tuple[float, ...]
    layers: dict[str, tuple[float, ...]]
    sizes: dict[str, int]
    planes: tuple[NDArray[np.uint8] | None, ...]


def pack_masks(
    mask_fn: MaskFn,
    params: Params,
    sparsities: Sequence[float],
    prunable: Prunable = is_prunable,
) -> PackedMasks:
    """Make the masks of all sparsities and pack them.

    Parameters
    ----------
    mask_fn
        ``(params, sparsity) -> mask``. A :class:`RankedMask` ranks once for all.
    params
        Tree of weights.
    sparsities
        Each in [0, 1), in any order.
    prunable
        Leaves that the achieved sparsity is a fraction of.

    Raises
    ------
    InputError
        If a sparsity is outside [0, 1) or a mask does not fit the parameters.
    """
    for sparsity in sparsities:
        check_sparsity(sparsity)
    if isinstance(mask_fn, RankedMask):
        masks = mask_fn.sweep(params, sparsities)
    else:
        masks = (mask_fn(params, sparsity) for sparsity in sparsities)
    leaves = named_leaves(params)
    planes: list[NDArray[np.uint8] | None] = [None] * len(leaves)
    achieved, per_layer = [], []
    for index, mask in enumerate(masks):
        total, layers = achieved_sparsity(params, mask, prunable)
        achieved.append(total)
        per_layer.append(layers)
        for position, keep in enumerate(jax.tree.leaves(mask)):
            if np.all(keep):
                continue
            plane = planes[position]
            if plane is None:
                shape = (-(-len(sparsities) // 8), *np.shape(keep))
                plane = planes[position] = np.zeros(shape, np.uint8)
            plane[index // 8] |= np.where(keep, 0, 1 << (index % 8)).astype(np.uint8)
    names = [name for name, _ in leaves if any(name in la for la in per_layer)]
    return PackedMasks(
        sparsities=tuple(sparsities),
        achieved=tuple(achieved),
        layers={n: tuple(la.get(n, 0.0) for la in per_layer) for n in names},
        sizes={n: int(np.size(w)) for n, w in leaves if n in names},
        planes=tuple(planes),
    )


def delta_at(weights: Array, planes: Array, index: Array | int) -> Array:
    """Make one leaf of the pruning direction from its packed masks.

    Parameters
    ----------
    weights
        Leaf of the parameters.
    planes
        Its packed masks, shape (⌈S / 8⌉, *weights.shape).
    index
        Which sparsity; may be traced.

    Returns
    -------
    Array
        -θ where the weight goes, else 0.
    """
    plane = jax.lax.dynamic_index_in_dim(planes, index // 8, keepdims=False)
    goes = (plane >> jnp.asarray(index % 8, jnp.uint8)) & jnp.uint8(1)
    return jnp.where(goes.astype(bool), -weights, jnp.zeros_like(weights))
