"""Whole filters, channels or blocks of weights go together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels
from prefiqs_jax.masks.order import pruning_levels


def _rank_along(
    axis: str, leaves: Sequence[Leaf], sparsities: Sequence[float]
) -> Levels:
    """Drop the lowest slices of each layer along its output or input axis.

    References
    ----------
    He, Zhang and Sun (2017). Channel pruning for accelerating very deep neural
    networks. ICCV. arXiv:1707.06168.
    """
    found = []
    for leaf in leaves:
        along = leaf.output_axis if axis == "output" else leaf.input_axis
        others = tuple(i for i in range(len(leaf.shape)) if i != along)
        if leaf.scores.shape[along] == 1 < leaf.shape[along]:
            message = (
                f"{leaf.name}: scores of shape {leaf.scores.shape} do not tell its "
                f"{leaf.shape[along]} {axis} channels apart; give one for each"
            )
            raise InputError(message)
        # float64: a sum of 4,608 float32 scores would depend on its order.
        sums = leaf.scores.sum(axis=others, dtype=np.float64, keepdims=True)
        counts = [round(s * sums.size) for s in sparsities]
        found.append(pruning_levels(sums.ravel(), counts).reshape(sums.shape))
    return found


filters = Allocation(
    "filters",
    "whole filters, the same fraction of every layer's",
    lambda leaves, sparsities, _context=None: _rank_along("output", leaves, sparsities),
    "the round(s n_out) filters with the lowest sums of scores, in each layer",
    "Li et al. (2017), ICLR, arXiv:1608.08710; counts as torch ln_structured(dim=0)",
    uses_axes=True,
)
"""Drop whole filters (outputs): those with the lowest sum of scores in each layer."""

channels = Allocation(
    "channels",
    "whole input channels, the same fraction of every layer's",
    lambda leaves, sparsities, _context=None: _rank_along("input", leaves, sparsities),
    "the round(s n_in) input channels with the lowest sums of scores, in each layer",
    "He et al. (2017), ICCV, arXiv:1707.06168",
    uses_axes=True,
)
"""Drop whole input channels: those with the lowest sum of scores in each layer."""


def blocks_of(inputs: int, outputs: int) -> Allocation:
    """Make the allocation that drops blocks of input channels × outputs.

    Parameters
    ----------
    inputs, outputs
        Size of a block; at the edge of a layer blocks are cut off.

    Returns
    -------
    Allocation
        The same fraction of every layer's blocks goes, at each place of a filter.

    References
    ----------
    Gray, Radford and Kingma (2017). GPU kernels for block-sparse weights. OpenAI.

    Examples
    --------
    >>> from prefiqs_jax.masks import blocks_of, magnitude
    >>> params = {"w": np.array([[1.0, 1, 5, 1], [1, 1, 1, 1]])}
    >>> blocks_of(2, 2)(magnitude)(params, 0.5)["w"].tolist()
    [[False, False, True, True], [False, False, True, True]]
    """
    if min(inputs, outputs) < 1:
        message = f"blocks of {inputs} x {outputs}: give at least 1 x 1"
        raise InputError(message)

    def rank(
        leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
    ) -> Levels:
        return [_block_levels(leaf, (inputs, outputs), sparsities) for leaf in leaves]

    return Allocation(
        "blocks" if (inputs, outputs) == (4, 4) else f"blocks{inputs}x{outputs}",
        f"blocks of {inputs} x {outputs} weights, the same fraction of every layer's",
        rank,
        f"the blocks of {inputs} input channels x {outputs} outputs with the lowest "
        "sums of scores, in each layer",
        "Gray et al. (2017), GPU kernels for block-sparse weights",
        needs_score_per_weight=True,
        uses_axes=True,
    )


def _block_levels(
    leaf: Leaf, block: tuple[int, int], sparsities: Sequence[float]
) -> NDArray[np.unsignedinteger]:
    axes = (leaf.input_axis, leaf.output_axis)
    moved = np.moveaxis(leaf.scores, axes, (-2, -1))
    sums = moved.astype(np.float64)
    for axis, length in zip((-2, -1), block, strict=True):
        edges = np.arange(0, sums.shape[axis], length)
        sums = np.add.reduceat(sums, edges, axis=axis)
    counts = [round(s * sums.size) for s in sparsities]
    levels = pruning_levels(sums.ravel(), counts).reshape(sums.shape)
    for axis, length in zip((-2, -1), block, strict=True):
        levels = np.repeat(levels, length, axis=axis)
    whole = levels[..., : moved.shape[-2], : moved.shape[-1]]
    return np.moveaxis(whole, (-2, -1), axes)


blocks = blocks_of(4, 4)
"""Drop blocks of 4 input channels × 4 outputs, the same fraction of every layer's."""
