"""Masks by the name that the command line gives them: ``ALLOCATION/SCORE``."""

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prefiqs_jax.errors import InputError, unknown
from prefiqs_jax.masks.allocation import RankedMask, globally, layerwise
from prefiqs_jax.masks.scores import find_score, score_names
from prefiqs_jax.trees import describe_prunable, is_prunable
from prefiqs_jax.types import Mask, MaskFn, Params, Prunable, Score

# A new one is one line here: its name, what makes it, and a line for `prefiqs masks`.
ALLOCATIONS: dict[str, tuple[Callable[[Score, Prunable], RankedMask], str]] = {
    "global": (globally, "one ranking of all prunable weights"),
    "layerwise": (layerwise, "the same fraction of every layer"),
}


class NamedMask(NamedTuple):
    """A mask function with all that identifies it.

    A run is continued only with the same identity and the same masks, see
    :attr:`prefiqs_jax.masks.packed.PackedMasks.sha256`.
    """

    name: str
    """Allocation and score, or a name of the user's."""
    mask_fn: MaskFn
    """``(params, sparsity) -> mask``, True = keep."""
    source_sha256: str | None = None
    """Digest of the Python file it came from, if any."""
    seed: int | np.integer | None = None
    """Key of random scores."""
    prunable: Prunable = is_prunable
    """Leaves that may be pruned, of which the achieved sparsity is a fraction."""

    def describe(self) -> dict[str, Any]:
        """List what identifies the mask, for run.json."""
        return {
            "mask": self.name,
            "mask_file_sha256": self.source_sha256,
            "seed": None if self.seed is None else int(self.seed),
            "prunable": describe_prunable(self.prunable),
        }

    def __call__(self, params: Params, sparsity: float) -> Mask:
        """Return the mask, True = keep."""
        return self.mask_fn(params, sparsity)


def mask_names() -> dict[str, str]:
    """List the masks, those of installed packages included, with a line on each."""
    return {
        f"{allocation}/{score}": f"{where}; {find_score(score).description}"
        for allocation, (_, where) in ALLOCATIONS.items()
        for score in score_names()
    }


def mask_named(
    name: str, *, seed: int | np.integer = 0, prunable: Prunable = is_prunable
) -> NamedMask:
    """Find a mask by name.

    Parameters
    ----------
    name
        ``ALLOCATION/SCORE`` as :func:`mask_names` lists them;
        ``ALLOCATION/FILE.py:SCORE`` for a score of your own, a function of
        ``(leaf name, weights)``; or ``FILE.py:MASK`` for a function of
        ``(params, sparsity)``. The file is imported, so it runs.
    seed
        Key of random scores.
    prunable
        Which leaves may be pruned. A mask of the form ``FILE.py:MASK`` decides itself.

    Raises
    ------
    InputError
        If there is no such mask, file or function.
    """
    allocation, slash, score = name.partition("/")
    if slash and allocation in ALLOCATIONS:
        make, _ = ALLOCATIONS[allocation]
        if ".py:" in score:
            function, digest = _function_in_file(score)
            ranked = make(function, prunable)
            return NamedMask(name, ranked, digest, seed, prunable)
        if score in score_names():
            ranked = make(find_score(score).make(int(seed)), prunable)
            return NamedMask(name, ranked, None, seed, prunable)
    elif ".py:" in name:
        function, digest = _function_in_file(name)
        return NamedMask(name, function, digest, seed, prunable)
    if name.endswith(".py"):
        message = f"mask {name} names a file; say which function of it: {name}:FUNCTION"
        raise InputError(message)
    known = mask_names()
    own = "or your own score as ALLOCATION/FILE.py:FUNCTION"
    error = unknown("mask", name, known, ", ".join([*known, own]))
    raise error


def as_named(mask: NamedMask | MaskFn) -> NamedMask:
    """Name a mask function by its own name, if it has no other."""
    if isinstance(mask, NamedMask):
        return mask
    name = getattr(mask, "__name__", type(mask).__name__)
    prunable = mask.prunable if isinstance(mask, RankedMask) else is_prunable
    return NamedMask(name, mask, prunable=prunable)


def _function_in_file(reference: str) -> tuple[Any, str]:
    file, _, attribute = reference.rpartition(":")
    path = Path(file)
    if not path.is_file():
        message = f"mask file {file} does not exist"
        raise InputError(message)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        message = f"mask file {file} cannot be imported: is it Python?"
        raise InputError(message)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError) as error:
        message = f"mask file {file} cannot be imported: {error}"
        raise InputError(message) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        message = f"mask file {file} has no function {attribute}"
        raise InputError(message)
    return function, hashlib.sha256(path.read_bytes()).hexdigest()
