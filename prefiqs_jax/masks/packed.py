"""Masks of many sparsities in one bit each, and the pruning direction read from them.

A sweep over S sparsities never holds S copies of the weights: it holds ⌈S / 8⌉ bytes a
weight, from which each direction is made where it is used. Any mask function packs,
nested or not. Changes that are no masks, such as quantisation, are packed as they are,
and go the same way from there.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import RankedMask, Ranking, check_sparsity
from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.direction import check_mask, dropped_fractions
from prefiqs_jax.sensitivity import check_delta
from prefiqs_jax.trees import is_prunable, named_leaves
from prefiqs_jax.types import Delta, MaskFn, Params, Prunable


@dataclasses.dataclass(frozen=True)
class PackedMasks:
    """Masks of all sparsities of a sweep, or other changes of the weights.

    Attributes
    ----------
    sparsities
        As requested, S of them; of a change that is no mask, as counted.
    achieved
        Counted over all prunable weights, S of them.
    layers
        Counted for each prunable leaf: name to S fractions.
    sizes
        Weights in each prunable leaf.
    planes
        Per leaf of the parameters, in tree order: uint8 of shape
        (⌈S / 8⌉, *leaf shape), bit s set where the weight goes at sparsity s; of
        changes, the S changes themselves, (S, *leaf shape) in the leaf's own type; None
        for a leaf that nothing changes.
    names
        Name of the mask of each of the S.
    """

    sparsities: tuple[float, ...]
    achieved: tuple[float, ...]
    layers: dict[str, tuple[float, ...]]
    sizes: dict[str, int]
    planes: tuple[NDArray[Any] | None, ...]
    names: tuple[str, ...]

    @property
    def emptied(self) -> list[tuple[str, float, str]]:
        """Layers that lose all their weights: (mask, sparsity, layer name)."""
        return [
            (self.names[index], self.sparsities[index], layer)
            for index in range(len(self.sparsities))
            for layer, fractions in self.layers.items()
            if fractions[index] >= 1
        ]

    def remarks(self, params: Params) -> list[str]:
        """Say which layers lose all their weights, or have none but zeros to lose."""
        lost: dict[str, list[str]] = {}
        for mask, sparsity, layer in self.emptied:
            said = f"note: {mask} at sparsity {sparsity:g} prunes all of"
            lost.setdefault(said, []).append(layer)
        leaves = named_leaves(params)
        zero = [n for n, w in leaves if n in self.sizes and not np.any(w)]
        lost |= (
            {"note: whatever is pruned, all weights are zero of": zero} if zero else {}
        )
        return [
            f"{said} {', '.join(of[:3])}" + f" and {len(of) - 3} more" * (len(of) > 3)
            for said, of in lost.items()
        ]

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
    *,
    name: str | None = None,
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
    name
        Name of the mask; None = the function's own.

    Raises
    ------
    InputError
        If a sparsity is outside [0, 1) or a mask does not fit the parameters.
    """
    name = str(name or getattr(mask_fn, "__name__", type(mask_fn).__name__))
    for sparsity in sparsities:
        check_sparsity(sparsity)
    leaves = named_leaves(params)
    if isinstance(mask_fn, RankedMask):
        ranking = mask_fn.rank(params, sparsities)
        packed = [_pack_levels(ranking, n, np.shape(w), sparsities) for n, w in leaves]
    else:
        packed = _pack_each(mask_fn, params, sparsities)
    return _counted(params, packed, sparsities, prunable, [name] * len(sparsities))


def _counted(
    params: Params,
    packed: "list[_PackedLeaf]",
    sparsities: Sequence[float] | None,
    prunable: Prunable,
    masks: Sequence[str],
) -> PackedMasks:
    """Count what each leaf loses; where no sparsities were asked for, they are that."""
    leaves = named_leaves(params)
    counted = [
        dropped_fractions(params, [leaf.dropped[index] for leaf in packed], prunable)
        for index in range(len(masks))
    ]
    achieved = tuple(total for total, _ in counted)
    names = [name for name, _ in leaves if any(name in la for _, la in counted)]
    return PackedMasks(
        sparsities=achieved if sparsities is None else tuple(sparsities),
        achieved=achieved,
        layers={n: tuple(la.get(n, 0.0) for _, la in counted) for n in names},
        sizes={n: int(np.size(w)) for n, w in leaves if n in names},
        planes=tuple(leaf.planes for leaf in packed),
        names=tuple(masks),
    )


def pack_deltas(
    deltas: Mapping[str, Delta], params: Params, prunable: Prunable = is_prunable
) -> PackedMasks:
    """Pack changes of the weights of any kind: quantisation, fine-tuning, noise.

    Parameters
    ----------
    deltas
        Name to change δ, each with the parameters' structure, shapes and types.
    params
        Tree of weights θ.
    prunable
        Leaves that the achieved sparsity is a fraction of: of their weights that are
        not zero, those that θ + δ makes zero.

    Returns
    -------
    PackedMasks
        One for each change; its sparsity is the achieved one, 0 for noise.

    Raises
    ------
    InputError
        If there is none, one does not fit the parameters or is not finite.
    """
    if not deltas:
        message = "no change of the weights given; give at least one"
        raise InputError(message)
    for name, delta in deltas.items():
        try:
            check_delta(params, delta)
        except InputError as error:
            message = f"{name}: {error}"
            raise InputError(message) from error
    packed = []
    rows = [[np.asarray(leaf) for leaf in jax.tree.leaves(d)] for d in deltas.values()]
    for (leaf, weights), *changes in zip(named_leaves(params), *rows, strict=True):
        for name, change in zip(deltas, changes, strict=True):
            if not np.isfinite(change).all():
                message = f"{name}: the change of {leaf} is not finite"
                raise InputError(message)
        own = np.asarray(weights)
        gone = [int(np.count_nonzero((own != 0) & (own + c == 0))) for c in changes]
        moved = any(change.any() for change in changes)
        packed.append(_PackedLeaf(np.stack(changes) if moved else None, gone))
    return _counted(params, packed, None, prunable, list(deltas))


def join_masks(parts: Sequence[PackedMasks]) -> PackedMasks:
    """Pack the masks of several rules for one sweep, in their order.

    Parameters
    ----------
    parts
        Of the same parameters; masks all of them, or changes all of them.
    """
    if len(parts) == 1:
        return parts[0]
    bits = all(
        plane is None or plane.dtype == np.uint8
        for part in parts
        for plane in part.planes
    )
    layers = {name: part.sizes[name] for part in parts for name in part.layers}
    return PackedMasks(
        sparsities=sum((part.sparsities for part in parts), ()),
        achieved=sum((part.achieved for part in parts), ()),
        layers={
            name: sum(
                (
                    part.layers.get(name, (0.0,) * len(part.sparsities))
                    for part in parts
                ),
                (),
            )
            for name in layers
        },
        sizes=layers,
        planes=tuple(
            (_join_bits if bits else _join_changes)(
                [
                    (plane, len(part.sparsities))
                    for plane, part in zip(of, parts, strict=True)
                ]
            )
            for of in zip(*(part.planes for part in parts), strict=True)
        ),
        names=sum((part.names for part in parts), ()),
    )


def _join_bits(planes: Sequence[tuple[NDArray | None, int]]) -> NDArray | None:
    """Move the bits of several leaves' planes beside each other."""
    known = [plane for plane, _ in planes if plane is not None]
    if not known:
        return None
    total = sum(count for _, count in planes)
    joined = np.zeros((-(-total // 8), *known[0].shape[1:]), np.uint8)
    place = 0
    for plane, count in planes:
        for index in range(count):
            if plane is not None:
                bit = plane[index // 8] >> np.uint8(index % 8) & np.uint8(1)
                joined[(place + index) // 8] |= bit << np.uint8((place + index) % 8)
        place += count
    return joined


def _join_changes(planes: Sequence[tuple[NDArray | None, int]]) -> NDArray | None:
    known = [plane for plane, _ in planes if plane is not None]
    if not known:
        return None
    zero = np.zeros_like(known[0][:1])
    return np.concatenate(
        [np.repeat(zero, n, axis=0) if p is None else p for p, n in planes]
    )


@dataclasses.dataclass
class _PackedLeaf:
    """Planes of one leaf, and how many of its weights go at each sparsity."""

    planes: NDArray[Any] | None
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
        Its packed masks, uint8 of shape (⌈S / 8⌉, *weights.shape), or the changes
        themselves, (S, *weights.shape).
    index
        Which of the S; may be traced.

    Returns
    -------
    Array
        -θ where the weight goes, else 0; or that change.
    """
    if planes.dtype != jnp.uint8:
        return jax.lax.dynamic_index_in_dim(planes, index, keepdims=False)
    plane = jax.lax.dynamic_index_in_dim(planes, index // 8, keepdims=False)
    goes = (plane >> jnp.asarray(index % 8, jnp.uint8)) & jnp.uint8(1)
    return jnp.where(goes.astype(bool), -weights, jnp.zeros_like(weights))
