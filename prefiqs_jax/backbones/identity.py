"""What tells one network from another, whatever it is called: all it computes with."""

import contextlib
import dataclasses
import functools
import hashlib
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.backbones.backbone import Backbone, Provenance
from prefiqs_jax.trees import named_leaves

# Code and objects of these packages are told by the versions in run.json, and what
# networks of this one close over beside arrays by the digest of their file.
_VERSIONED = ("prefiqs_jax", "jax", "jaxlib", "flax", "numpy", "builtins", "functools")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def weights_digest(backbone: Backbone) -> str:
    """Compute the SHA-256 of all that a network computes with.

    These are its parameters, by name, and what its functions (``apply_fn``, the taps,
    the quality head, an ``activations_fn`` of its own) close over: arrays such as the
    running statistics of BatchNorm, numbers, texts, and the code of functions from
    outside this package. What else may be in its file, such as the operators of a
    graph, counts by the file's digest, and what a function of the user's reads
    elsewhere by that of its traced program. A network whose parameters were exchanged
    has another digest, although its file is the same.
    """
    digest = hashlib.sha256(backbone.provenance.sha256.encode())
    digest.update(backbone.provenance.program_sha256.encode())
    taps = None if backbone.taps is None else vars(backbone.taps)
    own = backbone.own_activations_fn
    functions = (backbone.apply_fn, taps, backbone.quality_head, own)
    _add_leaves(digest, [*named_leaves(backbone.params), *_held(functions, set())])
    return digest.hexdigest()


def beside_digest(backbone: Backbone) -> str:
    """Compute the SHA-256 of what a network computes with beside its parameters.

    Such as the running statistics of BatchNorm, which no change of the parameters
    touches.
    """
    digest = hashlib.sha256()
    _add_leaves(digest, _held(backbone.apply_fn, set()))
    return digest.hexdigest()


def _add_leaves(digest: Any, leaves: Iterable[tuple[str, Any]]) -> None:
    for name, leaf in leaves:
        digest.update(f"{name} ".encode())
        if isinstance(leaf, bytes):
            digest.update(leaf + b"\n")
        else:
            _add_array(digest, leaf)


def program_digest(program: Any) -> str:
    """Compute the SHA-256 of a traced program: its operations and its constants.

    Parameters
    ----------
    program
        Closed jaxpr, as ``jax.make_jaxpr`` gives it. Its text is that of the installed
        JAX: with another version it may be another.

    Examples
    --------
    >>> one, same, other = (
    ...     jax.make_jaxpr(lambda x, n=n: n * x)(1.0) for n in (2.0, 2.0, 3.0)
    ... )
    >>> program_digest(one) == program_digest(same), program_digest(other) == (
    ...     program_digest(one))
    (True, False)
    """
    # Functions inside it, such as derivatives of its own, are printed with an address.
    digest = hashlib.sha256(_ADDRESS.sub("", str(program.jaxpr)).encode())
    for constant in program.consts:
        _add_array(digest, constant)
    return digest.hexdigest()


def _add_array(digest: Any, leaf: Any) -> None:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    digest.update(f"{array.dtype} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).view(np.uint8).data)


def with_digest(backbone: Backbone, provenance: Provenance | None = None) -> Backbone:
    """State the digest of what a network computes with in its provenance."""
    provenance = provenance or backbone.provenance
    backbone = dataclasses.replace(backbone, provenance=provenance)
    stated = dataclasses.replace(provenance, weights_sha256=weights_digest(backbone))
    return dataclasses.replace(backbone, provenance=stated)


def network_settings(backbone: Backbone) -> dict[str, str]:
    """List what identifies a network, for the settings of a run."""
    function = backbone.apply_fn
    return {
        "backbone": backbone.name,
        "function": getattr(function, "__qualname__", type(function).__qualname__),
        "weights_sha256": weights_digest(backbone),
        "pixels": backbone.preprocessing.describe(),
    }


def _held(value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield arrays, and plain values and code as bytes, that a value holds."""
    for name, leaf in named_leaves(value):
        if isinstance(leaf, np.ndarray | np.generic | jax.Array):
            yield name, leaf
        elif isinstance(leaf, _PLAIN):
            yield name, repr(leaf).encode()
        elif id(leaf) not in seen and not isinstance(leaf, type | types.ModuleType):
            seen.add(id(leaf))
            for part in _parts(leaf):
                yield from _held(part, seen)


def _parts(leaf: Any) -> Iterator[Any]:
    """Yield what a function or an object is made of."""
    if isinstance(leaf, functools.partial):
        yield from (leaf.func, leaf.args, leaf.keywords)
        return
    if isinstance(leaf, Backbone):
        yield from (leaf.params, leaf.apply_fn)
        return
    versioned = _package(leaf) in _VERSIONED
    code = getattr(leaf, "__code__", None)
    if code is not None and not versioned:
        yield _code(code)
    for cell in getattr(leaf, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # an empty cell
            yield cell.cell_contents
    for attribute in ("__defaults__", "__kwdefaults__", "__wrapped__", "__self__"):
        yield getattr(leaf, attribute, None)
    if code is None and not versioned:
        if not isinstance(leaf, types.MethodType):
            yield vars(type(leaf)).get("__call__")
        yield getattr(leaf, "__dict__", None)
        slots = getattr(type(leaf), "__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            yield getattr(leaf, slot, None)


def _package(leaf: Any) -> str:
    module = getattr(leaf, "__module__", None) or type(leaf).__module__
    return str(module).partition(".")[0]


def _code(code: types.CodeType) -> bytes:
    """Return the instructions of a function and of those inside it."""
    inside = [
        _code(each) if isinstance(each, types.CodeType) else repr(each).encode()
        for each in code.co_consts
    ]
    return b"|".join([code.co_code, repr(code.co_names).encode(), *inside])
