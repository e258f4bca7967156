"""Weights that torch.nn.utils.prune keeps in two tensors: ``_orig`` and ``_mask``."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError

ORIGINAL, MASK = "_orig", "_mask"


def merge_pruned(
    tensors: Mapping[str, NDArray], *, dense: bool = False
) -> dict[str, NDArray]:
    """Multiply each ``X_orig`` by its ``X_mask``, under the name ``X``.

    Parameters
    ----------
    tensors
        Name to array; those without such a pair are left as they are.
    dense
        Leave the masks out, instead, and give ``X_orig`` as it is.

    Returns
    -------
    dict
        What ``torch.nn.utils.prune.remove`` would leave, or the dense parent of it, in
        the order given.

    Raises
    ------
    InputError
        If a mask has another shape, or holds more than zeros and ones; or if there is
        none, and the dense parent is asked for.

    Examples
    --------
    >>> pair = {"fc.weight_orig": np.array([2.0, 3.0]), "fc.weight_mask": np.eye(2)[0]}
    >>> merge_pruned(pair)
    {'fc.weight': array([2., 0.])}
    """
    merged: dict[str, NDArray] = {}
    for name, array in tensors.items():
        stem = name.removesuffix(ORIGINAL)
        if name.endswith(MASK) and name.removesuffix(MASK) + ORIGINAL in tensors:
            continue
        mask = tensors.get(stem + MASK) if stem != name else None
        if mask is None:
            merged[name] = array
            continue
        if mask.shape != array.shape or not np.isin(mask, (0, 1)).all():
            message = (
                f"{stem}{MASK} is no mask of {name}: it must have shape {array.shape} "
                "and hold zeros and ones only"
            )
            raise InputError(message)
        kept = array if dense else np.where(mask != 0, array, np.zeros_like(array))
        merged[stem] = kept
    if dense and len(merged) == len(tensors):
        message = (
            f"holds no {ORIGINAL} and {MASK} of torch.nn.utils.prune, so it has no "
            "dense parent inside; leave --dense out"
        )
        raise InputError(message)
    return merged
