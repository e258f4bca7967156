"""Masks by the name that the command line gives them: ``ALLOCATION/SCORE``."""

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from prefiqs_jax.errors import InputError, unknown
from prefiqs_jax.masks.allocation import Allocation, RankedMask
from prefiqs_jax.masks.allocations import ALLOCATIONS, channels, find_allocation, lamp
from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.scores import find_score, score_names
from prefiqs_jax.trees import describe_prunable, is_prunable
from prefiqs_jax.types import Delta, Mask, MaskFn, Params, Prunable
from prefiqs_jax.user_code import load_function

PER_FILTER = frozenset(("l1", "l2"))
"""Scores of whole filters, which allocations within them cannot take."""


@dataclasses.dataclass(frozen=True)
class NamedMask:
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
    sparsities: tuple[float, ...] | None = None
    """Its own among several masks; None = those of the sweep."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What it was bound to, for run.json: ``calibration``, ``earlier_sha256``."""

    def describe(self) -> dict[str, Any]:
        """List what identifies the mask, for run.json."""
        return {
            "mask": self.name,
            "mask_file_sha256": self.source_sha256,
            "seed": None if self.seed is None else int(self.seed),
            "prunable": describe_prunable(self.prunable),
            **self.data,
        }

    def __call__(
        self, params: Params, sparsity: float, context: Context | None = None
    ) -> Mask:
        """Return the mask, True = keep."""
        bound = self if context is None else self.bind(context)
        return bound.mask_fn(params, sparsity)

    @property
    def needs_data(self) -> bool:
        """Whether calibration images decide which weights go."""
        if isinstance(self.mask_fn, RankedMask):
            return self.mask_fn.needs_data
        return _wants_context(self.mask_fn)

    @property
    def uses_network(self) -> bool:
        """Whether it can use a context: for data, or to tell inputs from outputs."""
        if isinstance(self.mask_fn, RankedMask):
            return self.mask_fn.uses_network
        return self.needs_data

    @property
    def is_bound(self) -> bool:
        """Whether it has a context already."""
        if isinstance(self.mask_fn, RankedMask):
            return self.mask_fn.context is not None
        mask_fn: Any = self.mask_fn
        partial = isinstance(mask_fn, functools.partial)
        return partial and "context" in mask_fn.keywords

    def bind(
        self, context: Context, data: Mapping[str, Any] | None = None
    ) -> "NamedMask":
        """Give the mask its network and calibration images.

        Parameters
        ----------
        context
            Network and images.
        data
            What identifies them, see :attr:`data`.
        """
        mask_fn: Any = self.mask_fn
        if isinstance(mask_fn, RankedMask):
            mask_fn = dataclasses.replace(mask_fn, context=context)
        elif self.needs_data:
            mask_fn = functools.partial(mask_fn, context=context)
        return dataclasses.replace(self, mask_fn=mask_fn, data=data or {})


@dataclasses.dataclass(frozen=True)
class NamedDelta:
    """A change of the weights that is no mask, such as quantisation, with its name."""

    name: str
    """For rows, figures and run.json."""
    delta: Delta
    """Change δ: same structure, shapes and types as the weights."""
    source_sha256: str | None = None
    """Digest of the file it came from, if any."""
    prunable: Prunable = is_prunable
    """Leaves of which the achieved sparsity is a fraction."""

    def describe(self) -> dict[str, Any]:
        """List what identifies the change, for run.json."""
        return {
            "mask": self.name,
            "is_change": True,
            "mask_file_sha256": self.source_sha256,
            "seed": None,
            "prunable": describe_prunable(self.prunable),
        }


def mask_names() -> dict[str, str]:
    """List the masks, those of installed packages included, with a line on each.

    Pairs that make no sense, such as whole filters within groups of four, are left out.
    """
    return {
        f"{allocation.name}/{score}": f"{allocation.description}; "
        f"{find_score(score).description}"
        for allocation in ALLOCATIONS.values()
        for score in score_names()
        if makes_sense(allocation, score)
    }


def makes_sense(allocation: Allocation, score: str) -> bool:
    """Tell whether an allocation can cut a score's ranking."""
    if allocation is lamp:
        return not find_score(score).signed
    within = allocation.needs_score_per_weight or allocation is channels
    return not (within and score in PER_FILTER)


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
    before, slash, score = name.partition("/")
    allocation = find_allocation(before) if slash else None
    if allocation is not None:
        if ".py:" in score:
            function, digest = load_function(score, "mask")
            ranked = allocation(function, prunable)
            return NamedMask(name, ranked, digest, seed, prunable)
        if score in score_names():
            _check_pair(allocation, score)
            ranked = allocation(find_score(score).make(int(seed)), prunable)
            return NamedMask(name, ranked, None, seed, prunable)
    elif ".py:" in name:
        function, digest = load_function(name, "mask")
        return NamedMask(name, function, digest, seed, prunable)
    if name.endswith(".py"):
        message = f"mask {name} names a file; say which function of it: {name}:FUNCTION"
        raise InputError(message)
    told = (
        f"ALLOCATION/SCORE of the allocations {', '.join(ALLOCATIONS)} (any N:M and "
        f"blocksRxC) and the scores {', '.join(score_names())}, or your own score as "
        "ALLOCATION/FILE.py:FUNCTION"
    )
    error = unknown("mask", name, mask_names(), told)
    raise error


def describe_mask(name: str) -> list[tuple[str, str]]:
    """List what there is to know of a mask, an allocation or a score.

    Parameters
    ----------
    name
        ``ALLOCATION/SCORE``, one of the two alone, or one with a function in a file.

    Returns
    -------
    list of (str, str)
        Formula, source and cost.

    Raises
    ------
    InputError
        If there is none of the name, or the two make no sense together.
    """
    before, slash, after = name.partition("/")
    allocation = find_allocation(before)
    score = after if slash else before
    if ".py:" in score:
        return _describe_own(name, allocation)
    rows: list[tuple[str, str]] = []
    if allocation is not None:
        rows += _describe_allocation(allocation)
    if score in score_names():
        entry = find_score(score)
        rows += [
            ("score", f"{entry.name}: {entry.description}"),
            ("  formula", entry.formula),
            ("  source", entry.source),
            ("  cost", entry.cost),
        ]
    if not rows or (slash and (allocation is None or score not in score_names())):
        known = [*mask_names(), *ALLOCATIONS, *score_names()]
        told = (
            f"the allocations {', '.join(ALLOCATIONS)} and the scores "
            f"{', '.join(score_names())}"
        )
        error = unknown("mask", name, known, told)
        raise error
    if slash and allocation is not None:
        _check_pair(allocation, score)
        rows.append(("needs", _needs(mask_named(name))))
    return [(key, value) for key, value in rows if value]


def _describe_allocation(allocation: Allocation) -> list[tuple[str, str]]:
    return [
        ("allocation", f"{allocation.name}: {allocation.description}"),
        ("  formula", allocation.formula),
        ("  source", allocation.source),
    ]


def _describe_own(name: str, allocation: Allocation | None) -> list[tuple[str, str]]:
    """Say what is known of a function in a file of the user's; the file is run."""
    mask = mask_named(name)
    rows = [] if allocation is None else _describe_allocation(allocation)
    kind, function, file = "mask", mask.mask_fn, name
    if isinstance(function, RankedMask):
        kind, function, file = "score", function.score, name.partition("/")[2]
    said = (inspect.getdoc(function) or "no docstring").partition("\n")[0]
    rows += [
        (kind, f"{file}: {said}"),
        ("needs", _needs(mask)),
    ]
    return [(key, value) for key, value in rows if value]


def _needs(mask: NamedMask) -> str:
    if mask.needs_data:
        return (
            "calibration images: by default the faces that are measured, or "
            "--calibration DIR"
        )
    return "the network, to tell inputs from outputs" if mask.uses_network else ""


AnyMask: TypeAlias = NamedMask | MaskFn | str
"""A mask, or its name as :func:`mask_named` takes it."""


def as_named(mask: AnyMask, seed: int = 0) -> NamedMask:
    """Give a mask by its name, or name a function by its own if it has no other."""
    if isinstance(mask, NamedMask):
        return mask
    if isinstance(mask, str):
        return mask_named(mask, seed=seed)
    name = getattr(mask, "__name__", type(mask).__name__)
    prunable = mask.prunable if isinstance(mask, RankedMask) else is_prunable
    return NamedMask(name, mask, prunable=prunable)


def _check_pair(allocation: Allocation, score: str) -> None:
    if not makes_sense(allocation, score):
        if allocation is lamp:
            message = (
                f"lamp/{score} makes no sense: lamp adds up squares, and {score} may "
                "be negative; use another allocation, such as global"
            )
            raise InputError(message)
        message = (
            f"{allocation.name}/{score} makes no sense: {allocation.name} compares "
            f"within a filter, and {score} scores whole filters; use "
            f"{allocation.name}/magnitude or filters/{score}"
        )
        raise InputError(message)


def _wants_context(mask_fn: MaskFn) -> bool:
    try:
        return "context" in inspect.signature(mask_fn).parameters
    except (TypeError, ValueError):  # of a function in C nothing is known
        return False
