"""Find the state dict inside a checkpoint."""

from collections.abc import Mapping
from typing import Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed, shown

PLAIN = (
    *("state_dict_backbone", "backbone_state_dict", "net_state_dict"),
    *("model_state_dict", "state_dict", "model_state", "weights", "params"),
    *("backbone", "model", "module", "net", "network"),
)
# A file with one of these and a plain one holds two networks, and only its owner can
# say which is meant.
SECOND = ("state_dict_ema", "ema_state_dict", "model_ema", "ema", "teacher", "student")
CONTAINERS = PLAIN + SECOND
# Deeper than any checkpoint; a pickle may hold a dictionary that contains itself.
MAX_DEPTH = 8


def unwrap(loaded: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Open the containers of a checkpoint down to the mapping that holds tensors.

    Parameters
    ----------
    loaded
        What ``torch.load`` gave: a state dict, or dictionaries around one, such as
        ``{"epoch": 25, "state_dict": {...}, "optimizer": {...}}``.

    Returns
    -------
    state
        Tensors by name. Not copied.
    ignored
        Every other entry that was passed on the way, and why it is ignored. An entry of
        an outer dictionary that has the name of an inner one appears with its path.
        InputError if there is no state dict, or there are two.

    Examples
    --------
    >>> import numpy as np
    >>> state, ignored = unwrap({"epoch": 3, "state_dict": {"fc.bias": np.zeros(2)}})
    >>> list(state), ignored
    (['fc.bias'], {'epoch': 'int beside the weights'})
    """
    level, where, ignored = loaded, "", {}
    for _ in range(MAX_DEPTH):
        if not isinstance(level, Mapping):
            break
        inner = [key for key in CONTAINERS if _holds_tensors(level.get(key))]
        if len(inner) > 1:
            message = (
                f"holds more than one network ({listed(inner, 6)}); "
                f"save the one you mean: torch.save(checkpoint[{inner[0]!r}], ...)"
            )
            raise InputError(message)
        chosen = inner[0] if inner else None
        state = {} if inner else _tensors(level)
        for key, value in level.items():
            if key != chosen and str(key) not in state:
                ignored[f"{where}{key}"] = f"{type(value).__name__} beside the weights"
        if state:
            return state, ignored
        if chosen is None:
            break
        level, where = level[chosen], f"{where}{chosen}."
    raise InputError(_nothing_found(level, where))


def _tensors(level: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in level.items() if _is_tensor(value)}


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _holds_tensors(value: Any, depth: int = MAX_DEPTH) -> bool:
    if not isinstance(value, Mapping) or depth == 0:
        return False
    return any(_is_tensor(entry) for entry in value.values()) or any(
        _holds_tensors(value.get(key), depth - 1) for key in CONTAINERS
    )


def _nothing_found(level: Any, where: str) -> str:
    cure = "save it with torch.save(model.state_dict(), ...)"
    if not isinstance(level, Mapping):
        return f"holds a {shown(type(level).__name__)}, not a state dict; {cure}"
    place = f" under {where.rstrip('.')}" if where else ""
    keys = listed(level, 6) if level else "none"
    return f"no state dict found; keys that are there{place}: {keys}; {cure}"
