"""Give the tensors of a state dict the names that the architecture gave them."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed

Tensor = TypeVar("Tensor")

_WRAPPED = (
    r"(?:(?:module|features|model|net|backbone|encoder|network|_orig_mod"
    r"|student|teacher|ema|model_ema|ema_model)\.)*"
)
_PREFIX = re.compile(_WRAPPED)

# No backbone here names a layer of its own like this, so they may stand anywhere.
_HEAD = re.compile(r"(?:head|parallel_fc|partial_fc|margin|classifier|softmax_fc)\..+")
# `fc` is the backbone's own last layer under its prefix, the margin head beside it.
_HEAD_BESIDE = re.compile(rf"{_WRAPPED}(?:fc\..+|{_HEAD.pattern})")
MARGIN_HEAD = "margin head, used in training only"


def strip_prefix(
    state: Mapping[str, Tensor], stems: Iterable[str]
) -> tuple[dict[str, Tensor], str, dict[str, str]]:
    """Remove the one prefix that wrappers put before the backbone's names.

    The prefix is what stands before a stem name and consists of wrappers only
    (``module.``, ``features.``, ``model.`` ..., in any order, repeated). It is removed
    once, from the names that start with it. So the BatchNorm ``features`` of an iResNet
    keeps its name, which a removal of words would destroy.

    Parameters
    ----------
    state
        Tensors by name.
    stems
        Names of a tensor that each network has exactly once at its top, such as
        ``conv1.weight`` for iResNet. If one stem is inside the other's network
        (``layers.0`` and ``features.layers.0``, as in MobileFaceNet), the outer one
        counts; without any, everything stays as it is.

    Returns
    -------
    stripped
        Tensors under the architecture's names. A tensor beside the backbone that is no
        known margin head keeps its full name, for the mapping to report it.
    prefix
        What was removed, ``""`` if nothing.
    ignored
        Margin heads by full name, and why they are ignored.

    Raises
    ------
    InputError
        Two backbones side by side, or a name beside the backbone that equals a stripped
        one.

    Examples
    --------
    >>> names = ["module.conv1.weight", "module.features.weight", "head.weight"]
    >>> strip_prefix(dict.fromkeys(names, 0), ["conv1.weight"])[:2]
    ({'conv1.weight': 0, 'features.weight': 0}, 'module.')
    """
    prefix = _find_prefix(state, tuple(stems))
    stripped: dict[str, Tensor] = {}
    beside: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    for name, tensor in state.items():
        inside = name.startswith(prefix)
        short = name.removeprefix(prefix)
        if _HEAD.fullmatch(short) or (not inside and _HEAD_BESIDE.fullmatch(name)):
            ignored[name] = MARGIN_HEAD
        elif inside:
            stripped[short] = tensor
        else:
            beside[name] = tensor
    twice = sorted(stripped.keys() & beside.keys())
    if twice:
        message = (
            f"two backbones: names both with and without {prefix!r} ({listed(twice)}); "
            "save the one you mean in a file of its own"
        )
        raise InputError(message)
    return stripped | beside, prefix, ignored


def _find_prefix(state: Mapping[str, object], stems: tuple[str, ...]) -> str:
    starts = {
        name.removesuffix(stem)
        for name in state
        for stem in stems
        if name.endswith(stem)
    }
    candidates = sorted((s for s in starts if _PREFIX.fullmatch(s)), key=len)
    if not candidates:
        return ""
    outer = candidates[0]
    rivals = [other for other in candidates if not other.startswith(outer)]
    if rivals:
        message = (
            f"two or more backbones, under {listed([outer, *rivals], 6)}; "
            "save the one you mean in a file of its own"
        )
        raise InputError(message)
    return outer
