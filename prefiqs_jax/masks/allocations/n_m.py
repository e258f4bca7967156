"""N of every M consecutive inputs stay: what sparse tensor cores multiply."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError, UnreachableSparsityError
from prefiqs_jax.masks.allocation import Allocation, Leaf, Levels


def n_m(kept: int, group: int) -> Allocation:
    """Make the allocation that keeps ``kept`` of every ``group`` inputs.

    Groups lie along the axis of the input channels, at each place of a filter and for
    each output. A layer whose input channels are no multiple of the group, such as
    that of the pixels or a depthwise one, stays whole, as NVIDIA's ASP leaves it.

    Parameters
    ----------
    kept, group
        N and M: ``n_m(2, 4)`` is 2:4.

    Returns
    -------
    Allocation
        Its masks have sparsity 1 - N/M of the layers that it prunes; they raise
        InputError at any other sparsity but 0, and where no layer can be cut.

    References
    ----------
    Mishra et al. (2021). Accelerating sparse deep neural networks. arXiv:2104.08378.

    Examples
    --------
    >>> from prefiqs_jax.masks import magnitude, n_m
    >>> params = {"w": np.array([[4.0], [1.0], [3.0], [2.0]])}
    >>> n_m(2, 4)(magnitude)(params, 0.5)["w"].ravel().tolist()
    [True, False, True, False]
    """
    if not 0 < kept < group:
        message = f"{kept}:{group} keeps {kept} of {group}: give N:M with 0 < N < M"
        raise InputError(message)
    name, reached = f"{kept}:{group}", 1 - kept / group

    def rank(
        leaves: Sequence[Leaf], sparsities: Sequence[float], _context: object = None
    ) -> Levels:
        if beyond := [s for s in sparsities if s and not np.isclose(s, reached)]:
            message = (
                f"{name} cannot reach sparsity {beyond[0]:g}: it drops {reached:g} of "
                f"the weights or none; give {reached:g}"
            )
            raise UnreachableSparsityError(message, beyond)
        never = len(sparsities)
        first = sum(not s for s in sparsities)
        if not any(_divides(leaf, group) for leaf in leaves):
            message = (
                f"{name}: no layer has input channels in multiples of {group}; use "
                "another allocation"
            )
            raise InputError(message)
        kind = np.min_scalar_type(never)
        return [
            np.where(_lowest(leaf, kept, group), kind.type(first), kind.type(never))
            for leaf in leaves
        ]

    return Allocation(
        name,
        f"{kept} of every {group} inputs stay",
        rank,
        f"the {group - kept} lowest scores of every {group} consecutive input channels",
        "Mishra et al. (2021), arXiv:2104.08378",
        needs_score_per_weight=True,
        uses_axes=True,
    )


def _divides(leaf: Leaf, group: int) -> bool:
    channels = leaf.shape[leaf.input_axis]
    return channels > 0 and channels % group == 0


def _lowest(leaf: Leaf, kept: int, group: int) -> NDArray[np.bool_]:
    """Mark what goes; of equal scores the earlier."""
    if not _divides(leaf, group):
        return np.zeros(leaf.shape, bool)
    rows = np.moveaxis(leaf.scores, leaf.input_axis, 0)
    groups = rows.reshape(-1, group, *rows.shape[1:])
    # A group is short: comparing all its pairs is faster than sorting it.
    goes = np.empty(groups.shape, bool)
    for one in range(group):
        place = np.zeros(groups[:, one].shape, np.uint8)
        for other in range(group):
            if other < one:
                place += groups[:, other] <= groups[:, one]
            elif other > one:
                place += groups[:, other] < groups[:, one]
        goes[:, one] = place < group - kept
    return np.moveaxis(goes.reshape(rows.shape), 0, leaf.input_axis)
