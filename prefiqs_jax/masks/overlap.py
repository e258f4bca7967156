"""Overlap of masks: how many of the weights that one drops another drops as well."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.packed import PackedMasks


def overlaps(masks: PackedMasks) -> list[dict[str, Any]]:
    """Compute the Jaccard index of the weights that two masks drop, per sparsity.

    J(A, B) = |A ∩ B| / |A ∪ B|, A and B the sets of dropped weights

    Parameters
    ----------
    masks
        Packed masks of several rules; of changes that are no masks nothing is computed.

    Returns
    -------
    list of dict
        Of every two masks with the same sparsity asked for: ``mask``, ``other``,
        ``sparsity``, ``jaccard`` (None where neither drops anything) and ``by_chance``,
        that of masks which drop as many weights at random: the expected intersection
        over the expected union, ab / (a + b - ab) of the fractions a and b of the
        prunable weights.

    References
    ----------
    Jaccard (1912). The distribution of the flora in the alpine zone. New Phytologist
    11.

    Examples
    --------
    >>> from prefiqs_jax.masks import globally, layerwise, magnitude
    >>> from prefiqs_jax.masks.packed import join_masks, pack_masks
    >>> params = {"a": np.array([[1.0, 2.0]]), "b": np.array([[3.0, 4.0]])}
    >>> both = [pack_masks(allocation(magnitude), params, [0.5], name=allocation.name)
    ...     for allocation in (globally, layerwise)]
    >>> [found] = overlaps(join_masks(both))
    >>> round(found["jaccard"], 3), round(found["by_chance"], 3)
    (0.333, 0.333)
    """
    count = len(masks.sparsities)
    of_one = len(set(masks.names)) < 2
    planes = [plane for plane in masks.planes if plane is not None]
    if of_one or any(plane.dtype != np.uint8 for plane in planes):
        return []
    shared = np.zeros((count, count))
    for plane in planes:
        rows = plane.reshape(len(plane), -1)
        for blocks in zip(*(in_blocks([row]) for row in rows), strict=True):
            shared += _intersections(np.stack(blocks), count)
    total = sum(masks.sizes.values())
    found = []
    for one, other in itertools.combinations(range(count), 2):
        same = masks.sparsities[one] == masks.sparsities[other]
        if not same or masks.names[one] == masks.names[other]:
            continue
        both = shared[one, other]
        either = shared[one, one] + shared[other, other] - both
        a, b = shared[one, one] / total, shared[other, other] / total
        found.append(
            {
                "mask": masks.names[one],
                "other": masks.names[other],
                "sparsity": float(masks.sparsities[one]),
                "jaccard": float(both / either) if either else None,
                "by_chance": float(a * b / (a + b - a * b)) if either else None,
            }
        )
    return found


def _intersections(planes: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """Count, for each two masks, the weights of a block that both drop.

    A block has at most 2¹⁶ weights, which float32 counts exactly.
    """
    bits = np.unpackbits(planes, axis=0, count=count, bitorder="little")
    dropped = bits.astype(np.float32)
    return dropped @ dropped.T
