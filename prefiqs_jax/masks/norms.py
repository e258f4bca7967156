"""How long the pruning direction is: the norm of what a mask takes from the weights."""

from typing import NamedTuple

import jax
import numpy as np

from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import Params


class DeltaNorms(NamedTuple):
    """Norms of the pruning direction, one for each sparsity."""

    delta_norm: list[float]
    """‖δ‖, in the unit of the weights."""
    delta_norm_relative: list[float]
    """‖δ‖ / ‖θ‖, in [0, 1]; 0 where all weights are zero."""


def delta_norms(
    params: Params, masks: PackedMasks
) -> tuple[DeltaNorms, dict[str, DeltaNorms]]:
    """Compute ‖δ‖ of packed masks, block by block, summed in float64.

    Parameters
    ----------
    params
        Tree of weights θ.
    masks
        Made from them.

    Returns
    -------
    total : DeltaNorms
        Norms over all prunable weights, and whatever else a change that is no mask
        moves; so is the ‖θ‖ that it is relative to.
    layers : dict
        Norms of each prunable leaf, by name, relative to that leaf's own norm.

    Examples
    --------
    >>> from prefiqs_jax.masks import layerwise, magnitude
    >>> from prefiqs_jax.masks.packed import pack_masks
    >>> params = {"w": np.array([[3.0, 4.0], [0.0, 12.0]])}
    >>> total, _ = delta_norms(params, pack_masks(layerwise(magnitude), params, [0.75]))
    >>> total.delta_norm, round(total.delta_norm_relative[0], 4)
    ([5.0], 0.3846)
    """
    count = len(masks.sparsities)
    squares, wholes = {}, {}
    leaves = zip(named_leaves(params), masks.planes, strict=True)
    for (name, weights), planes in leaves:
        changed = None if planes is None or planes.dtype == np.uint8 else planes
        if name not in masks.layers and changed is None:
            continue
        flat = np.asarray(jax.device_get(weights)).ravel()
        if changed is not None:
            changes = changed.reshape(count, -1).astype(np.float64)
            squares[name] = np.einsum("ij,ij->i", changes, changes)
            wholes[name] = float(np.square(flat, dtype=np.float64).sum())
            continue
        rows = [] if planes is None else planes.reshape(len(planes), -1)
        square, whole = np.zeros(count), 0.0
        cut = [in_blocks([row]) for row in rows]
        for block, *bits in zip(in_blocks([flat]), *cut, strict=True):
            squared = block.astype(np.float64) ** 2
            whole += squared.sum()
            for index in range(count if bits else 0):
                goes = bits[index // 8] >> np.uint8(index % 8) & np.uint8(1)
                square[index] += squared @ goes
        squares[name], wholes[name] = square, whole
    total = _norms(sum(squares.values(), np.zeros(count)), sum(wholes.values()))
    layers = {n: _norms(squares[n], wholes[n]) for n in squares if n in masks.layers}
    return total, layers


def _norms(squares: np.ndarray, whole: float) -> DeltaNorms:
    norms = np.sqrt(squares)
    return DeltaNorms(
        norms.tolist(), (norms / np.sqrt(whole) if whole else norms).tolist()
    )
