"""Checks of inputs that several functions of this package share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError


def checked_values(
    name: str, values: ArrayLike, count: int | None = None
) -> NDArray[np.floating]:
    """Return a vector of finite numbers; float32 and float64 stay what they are.

    Raises InputError, with ``name`` for what they are, if the shape is not (count,)
    (any count above zero by default), or a value is not finite.

    >>> checked_values("similarity", [0.5, 1])
    array([0.5, 1. ])
    """
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 1 or (count is not None and len(array) != count):
        wanted = "(comparisons,)" if count is None else f"({count},)"
        message = f"{name} has shape {array.shape}, but must have shape {wanted}"
        raise InputError(message)
    if len(array) == 0:
        message = f"{name} is empty; give at least one value"
        raise InputError(message)
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite))
        message = (
            f"{name}[{row}] is {array[row]}, but must be finite; leave it out, or "
            "give it a value on purpose"
        )
        raise InputError(message)
    return array


def checked_mated(
    mated: ArrayLike, count: int, *, needs_both: bool = True
) -> NDArray[np.bool_]:
    """Return which of ``count`` comparisons are mated: true and false, or 1 and 0.

    Raises InputError if the shape is another one, a value is neither, or none is mated
    or, where it ``needs_both``, none non-mated.

    >>> checked_mated([1, 0], 2)
    array([ True, False])
    """
    array = np.asarray(mated)
    if array.shape != (count,):
        message = f"mated has shape {array.shape}, but must have shape ({count},)"
        raise InputError(message)
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        message = "mated must be true or false (1 or 0) for each comparison"
        raise InputError(message)
    array = array.astype(np.bool_, copy=False)
    missing = {"mated": not array.any(), "non-mated": needs_both and array.all()}
    for kind, is_missing in missing.items():
        if is_missing:
            message = f"none of {count} comparisons is {kind}; give some of either kind"
            raise InputError(message)
    return array


def checked_quality(
    image_quality: ArrayLike, images: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return one quality per image, finite for those listed, or raise InputError."""
    quality = np.asarray(image_quality, np.float64)
    if quality.ndim != 1 or len(quality) <= images[-1]:
        message = (
            f"image_quality has shape {quality.shape}, but the pairs have images up "
            f"to index {images[-1]}; give one quality per image"
        )
        raise InputError(message)
    odd = images[~np.isfinite(quality[images])]
    if len(odd):
        message = (
            f"image_quality[{odd[0]}] is {quality[odd[0]]}, but must be finite; leave "
            "the image out, or give it a value on purpose"
        )
        raise InputError(message)
    return quality


def check_fmr(fmr: float) -> None:
    """Raise InputError unless the false match rate lies in (0, 1)."""
    if not 0 < fmr < 1:
        message = f"fmr={fmr} is outside (0, 1): it is a fraction, such as 1e-3"
        raise InputError(message)


def check_max_discard(limit: float, last: float = 1.0) -> None:
    """Raise InputError unless a limit of areas lies on a curve up to ``last``."""
    if not 0 < limit <= last + 1e-12:
        message = (
            f"max_discard={limit} is outside (0, {last:g}]: it is a fraction, on the "
            "protocol's curve"
        )
        raise InputError(message)
