"""Check listed comparisons: of two units each, both kinds, no contradictions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from prefiqs_jax.benchmarks.benchmark import Comparisons
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed


def counted(count: int, what: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "comparison"), counted(15658489, "comparison")
    ('1 comparison', '15,658,489 comparisons')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def check_kinds(source: Path, mated: Bool[np.ndarray, " comparisons"]) -> None:
    """Raise InputError unless there are mated and non-mated comparisons."""
    if not len(mated):
        message = f"{source} lists no comparisons; give a complete file"
        raise InputError(message)
    if mated.all() or not mated.any():
        missing = "non-mated" if mated.all() else "mated"
        message = (
            f"{source} has {counted(len(mated), 'comparison')} and none of them is "
            f"{missing}; error rates need both kinds"
        )
        raise InputError(message)


def check_comparisons(
    source: Path, names: Sequence[str], comparisons: Comparisons
) -> tuple[str, ...]:
    """Check comparisons that a file lists by name; a note if some are repeated.

    Raises
    ------
    InputError
        If one kind is missing, a unit is compared with itself, or two lines that
        compare the same units disagree.
    """
    first, second, mated = comparisons
    check_kinds(source, mated)
    if (alone := np.flatnonzero(first == second)).size:
        shown = listed([names[int(unit)] for unit in first[alone]])
        message = (
            f"{source} compares {shown} with itself ({len(alone)} of "
            f"{counted(len(mated), 'comparison')}); leave such lines out"
        )
        raise InputError(message)
    repeated, disagreeing = repeated_pairs(len(names), comparisons)
    if len(disagreeing):
        shown = listed([f"{names[a]} and {names[b]}" for a, b in disagreeing])
        message = (
            f"{source} lists {shown} as mated and as non-mated "
            f"({counted(len(disagreeing), 'pair')}); keep what is true"
        )
        raise InputError(message)
    if not repeated:
        return ()
    often = counted(repeated, "comparison")
    return (f"{often} repeat another and count as often as they are listed",)


def repeated_pairs(
    unit_count: int, comparisons: Comparisons
) -> tuple[int, list[tuple[int, int]]]:
    """Find comparisons of the same two units, in either order.

    Returns
    -------
    repeated
        How many comparisons repeat one before them.
    disagreeing
        The pairs (low, high) of units that are listed both as mated and as non-mated.
    """
    first, second, mated = comparisons
    # In place: Adience has 188 million comparisons.
    key = np.minimum(first, second).astype(np.int64)
    key *= unit_count
    key += np.maximum(first, second)
    key *= 2
    key += mated
    key.sort()
    step = np.diff(key)
    # The same pair with the other label is the next number, if the first one is even.
    differ = (step == 1) & (key[:-1] % 2 == 0)
    repeated = int((step == 0).sum() + differ.sum())
    disagreeing = np.unique(key[:-1][differ] // 2)
    return repeated, [divmod(int(each), unit_count) for each in disagreeing]
