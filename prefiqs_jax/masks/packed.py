"""Masks of many sparsities in one bit each, and the pruning direction read from them.

A sweep over S sparsities never holds S copies of the weights: it holds ⌈S / 8⌉ bytes a
weight, from which each direction is made where it is used. Any mask function packs,
nested or not.
"""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.masks.allocation import RankedMask, Ranking, check_sparsity
from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.direction import check_mask, dropped_fractions
from prefiqs_jax.trees import is_prunable, named_leaves
from prefiqs_jax.types import MaskFn, Params, Prunable


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

    @property
    def sha256(self) -> str:
        """Digest of the masks themselves, whatever made them."""
        digest = hashlib.sha256()
        for planes in self.planes:
            shape = None if planes is None else planes.shape
            digest.update(f"{shape}\n".encode())
            if planes is not None:
                digest.update(np.ascontiguousarray(planes).data)
        return digest.hexdigest()


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
    leaves = named_leaves(params)
    if isinstance(mask_fn, RankedMask):
        ranking = mask_fn.rank(params, sparsities)
        packed = [_pack_levels(ranking, n, np.shape(w), sparsities) for n, w in leaves]
    else:
        packed = _pack_each(mask_fn, params, sparsities)
    counted = [
        dropped_fractions(params, [leaf.dropped[index] for leaf in packed], prunable)
        for index in range(len(sparsities))
    ]
    names = [name for name, _ in leaves if any(name in la for _, la in counted)]
    return PackedMasks(
        sparsities=tuple(sparsities),
        achieved=tuple(total for total, _ in counted),
        layers={n: tuple(la.get(n, 0.0) for _, la in counted) for n in names},
        sizes={n: int(np.size(w)) for n, w in leaves if n in names},
        planes=tuple(leaf.planes for leaf in packed),
    )


@dataclasses.dataclass
class _PackedLeaf:
    """Planes of one leaf, and how many of its weights go at each sparsity."""

    planes: NDArray[np.uint8] | None
    dropped: list[int]


def _pack_levels(
    ranking: Ranking, name: str, shape: tuple[int, ...], sparsities: Sequence[float]
) -> _PackedLeaf:
    """Look the bits of each weight up by its level: no mask is made."""
    places = [ranking.sparsities.index(sparsity) for sparsity in sparsities]
    levels = ranking.levels.get(name)
    if levels is None or not levels.size:
        return _PackedLeaf(None, [0] * len(places))
    never = len(ranking.sparsities)
    at_level = np.zeros(never + 1, np.int64)
    bits = np.zeros((-(-len(places) // 8), never + 1), np.uint8)
    for index, place in enumerate(places):
        bits[index // 8, : place + 1] |= np.uint8(1 << (index % 8))
    planes = np.empty((len(bits), levels.size), np.uint8)
    rows = [in_blocks([plane]) for plane in planes]
    for block, *outs in zip(in_blocks([levels.ravel()]), *rows, strict=True):
        at_level += np.bincount(block, minlength=never + 1)
        for table, out in zip(bits, outs, strict=True):
            # No level is outside the table; any other mode would copy the block.
            np.take(table, block, out=out, mode="clip")
    gone = np.cumsum(at_level)[places] * (math.prod(shape) // levels.size)
    if not gone.any():
        return _PackedLeaf(None, gone.tolist())
    filters = planes.reshape(len(bits), *levels.shape)
    whole = np.broadcast_to(filters, (len(bits), *shape))
    return _PackedLeaf(np.ascontiguousarray(whole), gone.tolist())


def _pack_each(
    mask_fn: MaskFn, params: Params, sparsities: Sequence[float]
) -> list[_PackedLeaf]:
    """Make one mask after the other, and keep a bit of each."""
    packed = [_PackedLeaf(None, []) for _ in jax.tree.leaves(params)]
    for index, sparsity in enumerate(sparsities):
        mask = mask_fn(params, sparsity)
        check_mask(params, mask)
        for leaf, keep in zip(packed, jax.tree.leaves(mask), strict=True):
            goes = np.logical_not(keep)
            leaf.dropped.append(int(np.count_nonzero(goes)))
            if not leaf.dropped[-1]:
                continue
            if leaf.planes is None:
                shape = (-(-len(sparsities) // 8), *np.shape(keep))
                leaf.planes = np.zeros(shape, np.uint8)
            leaf.planes[index // 8] |= goes.view(np.uint8) << np.uint8(index % 8)
    return packed


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
