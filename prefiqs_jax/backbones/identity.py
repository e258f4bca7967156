"""What tells one network from another, whatever it is called: its numbers."""

import functools
import hashlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.backbone import Backbone
from prefiqs_jax.trees import named_leaves


def weights_digest(backbone: Backbone) -> str:
    """Compute the SHA-256 of all numbers that a network computes with.

    These are its parameters, by name, and the arrays that ``apply_fn`` closes over,
    such as the running statistics of BatchNorm; what else may be in its file, such as
    the operators of a graph, counts by the file's digest. A network whose parameters
    were exchanged has another digest, although its file is the same.

    Notes
    -----
    A global variable that a function of the user's reads is not seen.
    """
    digest = hashlib.sha256(backbone.provenance.sha256.encode())
    for name, leaf in [
        *named_leaves(backbone.params),
        *_closed_over(backbone.apply_fn, set()),
    ]:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def network_settings(backbone: Backbone) -> dict[str, str]:
    """List what identifies a network, for the settings of a run."""
    function = backbone.apply_fn
    return {
        "backbone": backbone.name,
        "function": getattr(function, "__qualname__", type(function).__qualname__),
        "weights_sha256": weights_digest(backbone),
        "pixels": backbone.preprocessing.describe(),
    }


def _closed_over(function: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the arrays in a function's closure, defaults, partial arguments, object."""
    if id(function) in seen:
        return
    seen.add(id(function))
    held: list[Any] = [cell.cell_contents for cell in _cells(function)]
    for name in ("__defaults__", "__kwdefaults__", "__wrapped__", "__self__"):
        held.append(getattr(function, name, None))
    if isinstance(function, functools.partial):
        held += [function.func, function.args, function.keywords]
    elif not hasattr(function, "__code__"):
        held += [getattr(function, "__dict__", None)]
    for value in held:
        for name, leaf in named_leaves(value):
            if isinstance(leaf, np.ndarray | np.generic | jax.Array):
                yield name, leaf
            elif callable(leaf):
                yield from _closed_over(leaf, seen)


def _cells(function: Any) -> tuple[Any, ...]:
    return getattr(function, "__closure__", None) or ()
