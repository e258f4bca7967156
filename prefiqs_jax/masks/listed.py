"""Several masks from one line of text, each perhaps with sparsities of its own."""

import dataclasses
import re

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import check_sparsity
from prefiqs_jax.masks.named import NamedMask, mask_named
from prefiqs_jax.trees import is_prunable
from prefiqs_jax.types import Prunable

_OWN = re.compile(r"(.+)@([\d.+]+)")


def masks_listed(
    text: str, *, seed: int | np.integer = 0, prunable: Prunable = is_prunable
) -> list[NamedMask]:
    """Find the masks of a list such as ``global/magnitude,2:4/magnitude@0.5``.

    Parameters
    ----------
    text
        Names as :func:`prefiqs_jax.masks.mask_named` takes them, between commas. What
        follows an ``@`` are the mask's own sparsities, joined by ``+``.
    seed, prunable
        As in :func:`prefiqs_jax.masks.mask_named`, for all of them.

    Returns
    -------
    list of NamedMask
        In the order given, no two with one name.

    Raises
    ------
    InputError
        If a mask is unknown or comes twice, or a sparsity of its own is outside [0, 1).

    Examples
    --------
    >>> [(m.name, m.sparsities) for m in masks_listed("erk/snip,2:4/snip@0+0.5")]
    [('erk/snip', None), ('2:4/snip', (0.0, 0.5))]
    """
    found: list[NamedMask] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        given = _OWN.fullmatch(word)
        name, own = (given[1], _numbers(given[2], word)) if given else (word, None)
        mask = mask_named(name, seed=seed, prunable=prunable)
        if name in [other.name for other in found]:
            message = (
                f"mask {name} is given twice; give it once, with all its sparsities: "
                f"{name}@0.3+0.5"
            )
            raise InputError(message)
        found.append(dataclasses.replace(mask, sparsities=own))
    return found


def _numbers(text: str, word: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split("+"))
    except ValueError:
        message = f"{word}: give its own sparsities as MASK@0.3+0.5"
        raise InputError(message) from None
    for number in numbers:
        check_sparsity(number)
    return tuple(sorted(numbers))
