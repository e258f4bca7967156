"""The same fraction of every output's weights: Wanda's comparison group."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels


def _rank_outputs(
    leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
) -> Levels:
    return [_by_row(leaf, sparsities) for leaf in leaves]


def _by_row(leaf: Leaf, sparsities: Sequence[float]) -> NDArray:
    rows = np.moveaxis(leaf.scores, leaf.output_axis, 0)
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    counts = [round(s * flat.shape[1]) for s in sparsities]
    levels = row_levels(flat, counts).reshape(rows.shape)
    return np.moveaxis(levels, 0, leaf.output_axis)


def row_levels(rows: NDArray, counts: Sequence[int]) -> NDArray[np.unsignedinteger]:
    """Find at which count each of the lowest scores of a row goes, row by row.

    Parameters
    ----------
    rows
        Scores, shape (rows, entries), no NaN.
    counts
        Ascending numbers of entries that each row drops.

    Returns
    -------
    ndarray
        Same shape; the index of the first count at which an entry goes, ``len(counts)``
        if it never does. Of equal scores the earlier goes first.

    Examples
    --------
    >>> row_levels(np.array([[3, 1, 2], [5, 5, 4]]), [1, 2])
    array([[2, 0, 1],
           [1, 2, 0]], dtype=uint8)
    """
    never = len(counts)
    levels = np.zeros(rows.shape, np.min_scalar_type(never))
    ordered = np.sort(rows, axis=1)
    for count in counts:
        if count == 0:
            levels += 1
            continue
        threshold = ordered[:, count - 1, None]
        stays = rows > threshold
        missing = count - (rows.shape[1] - stays.sum(1))
        # Ties at the cut: too many went, the last of them come back.
        for row in np.flatnonzero(missing):
            tied = np.flatnonzero(rows[row] == threshold[row])
            stays[row, tied[missing[row] :]] = True
        levels += stays
    return levels


per_output = Allocation(
    "output",
    "the same fraction of every output's weights",
    _rank_outputs,
    "the round(s n_in) lowest scores of each output's n_in; equal ones by index",
    "Sun et al. (2024), Wanda, ICLR, arXiv:2306.11695, Section 3",
    needs_score_per_weight=True,
    uses_axes=True,
)
"""Drop the same fraction of the weights of every output (filter), lowest scores first.

>>> from prefiqs_jax.masks import magnitude, per_output
>>> mask = per_output(magnitude)({"w": np.array([[3.0, 1.0], [2.0, 4.0]])}, 0.5)
>>> mask["w"].tolist()
[[True, False], [False, True]]
"""
