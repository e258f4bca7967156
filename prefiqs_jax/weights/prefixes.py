"""Give the tensors of a state dict the names that the architecture gave them."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed

Tensor = TypeVar("Tensor")

# Wrappers of single modules, which put their name into the midst of others.
_INSIDE = re.compile(
    r"(?:(?<=\.)|^)(?:_fsdp_wrapped_module|_checkpoint_wrapped_module|_orig_mod)\."
)
# `fc` is the backbone's own last layer under its prefix, the margin head beside it.
_HEAD_BESIDE = re.compile(r"(?:.+\.)?fc\..+")
BESIDE = "no part of the network, which is complete without it"


def strip_prefix(
    state: Mapping[str, Tensor],
    stems: Iterable[str],
    own: Collection[str] | None = None,
) -> tuple[dict[str, Tensor], str, dict[str, str]]:
    """Remove the one prefix that wrappers put before the backbone's names.

    The prefix is what stands before a stem name (``module.``, ``model.backbone.``,
    ``feat_net.``, anything). It is removed once, from the names that start with it. So
    the BatchNorm ``features`` of an iResNet keeps its name, which a removal of words
    would destroy.

    Parameters
    ----------
    state
        Tensors by name.
    stems
        Names of a tensor that each network has exactly once at its top, such as
        ``conv1.weight`` for iResNet. If one stem is inside the other's network
        (``layers.0`` and ``features.layers.0``, as in MobileFaceNet), the outer one
        counts; without any, everything stays as it is.
    own
        Names of all tensors of the network. Of several prefixes, the only one with all
        of them counts; the shortest, where they are not known.

    Returns
    -------
    stripped
        Tensors under the architecture's names. A tensor beside the backbone keeps its
        full name.
    prefix
        What was removed, ``""`` if nothing.
    ignored
        Tensors beside the backbone that are called as if they were in it, by full name,
        and why they are ignored.

    Raises
    ------
    InputError
        Two backbones side by side, or a name beside the backbone that equals a stripped
        one.

    Examples
    --------
    >>> names = ["feat_net.conv1.weight", "feat_net.features.weight", "head.weight"]
    >>> strip_prefix(dict.fromkeys(names, 0), ["conv1.weight"], ["conv1.weight"])[:2]
    ({'conv1.weight': 0, 'features.weight': 0, 'head.weight': 0}, 'feat_net.')
    """
    stems = tuple(stems)
    if stems:
        plain = {_INSIDE.sub("", name): tensor for name, tensor in state.items()}
        if len(plain) == len(state):  # else they are left for the mapping to report
            state = plain
    prefix = _find_prefix(state, stems, own)
    tops = {name.partition(".")[0] for name in own or ()}
    stripped: dict[str, Tensor] = {}
    beside: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    for name, tensor in state.items():
        if name.startswith(prefix):
            stripped[name.removeprefix(prefix)] = tensor
        elif _HEAD_BESIDE.fullmatch(name):
            ignored[name] = BESIDE
        else:
            beside[name] = tensor
    twice = sorted(stripped.keys() & beside.keys())
    if twice:
        message = (
            f"two backbones: names both with and without {prefix!r} ({listed(twice)}); "
            "save the one you mean in a file of its own"
        )
        raise InputError(message)
    for name in [name for name in beside if name.partition(".")[0] in tops]:
        ignored[name] = BESIDE
        del beside[name]
    return stripped | beside, prefix, ignored


def _find_prefix(
    state: Mapping[str, object], stems: tuple[str, ...], own: Collection[str] | None
) -> str:
    starts = {
        name.removesuffix(stem)
        for name in state
        for stem in stems
        if f".{name}".endswith(f".{stem}")
    }
    if own is None:
        return min(starts, key=len, default="")
    held = {start: sum(start + name in state for name in own) for start in starts}
    whole = sorted(start for start, count in held.items() if count == len(own))
    if len(whole) > 1:
        where = listed([start or "no prefix" for start in whole])
        message = (
            f"two or more backbones, under {where}; "
            "save the one you mean in a file of its own"
        )
        raise InputError(message)
    # Where none is whole, the mapping says what is missing from the best.
    best = max(sorted(held, key=len), key=lambda start: held[start], default="")
    return best if sum(name in state for name in own) < held.get(best, 0) else ""
