"""Resampling units, and the weight of each comparison in a replicate.

Comparisons that share a person, or an image, are no independent evidence. So persons
are left out or drawn, or images where nobody says who is on them, and each comparison
counts as often as the copies of its two sides meet: w_i · w_j.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.verification.pairs import Pairs, identity_codes
from prefiqs_jax.statistics import bootstrap_weights, deletion_groups, without_each

Unit = Literal["identity", "image", "comparison"]
Method = Literal["jackknife", "bootstrap"]

# Comparisons looked at in one go: lists of hundreds of millions fit, their copies not.
_BLOCK = 2**23


class Draws(NamedTuple):
    """How replicates are made."""

    method: Method
    """``jackknife``: each leaves out one unit, or one of as many groups of units as
    there are replicates. ``bootstrap``: as many units as there are, drawn with
    replacement."""
    replicates: int
    """How many; of the jackknife, at most as many as units."""
    seed: int
    """For what is drawn, or for the groups."""


class Units(NamedTuple):
    """What is left out, or drawn with replacement."""

    kind: Unit
    """``identity``; ``image`` (or template) if identities are unknown; ``comparison``
    if besides no image occurs in two of them."""
    size: int
    """How many there are; as many are drawn."""
    code: Int[np.ndarray, " images"]
    """The unit of each image, numbered from 0; empty if comparisons are drawn."""

    @property
    def dtype(self) -> type[np.integer]:
        """The smallest type of numbers of units, and of the one after the last."""
        return np.uint16 if self.size < 2**16 else np.int32


def find_units(pairs: Pairs, identities: ArrayLike | None) -> Units:
    """Find the resampling units: identities if known, else images, or comparisons.

    Raises InputError if the comparisons contradict the identities, or name images
    beyond them. Only units that occur in the comparisons count.

    >>> pairs = Pairs(*np.array([[0, 1], [1, 2]]), np.ones(2), np.array([True, False]))
    >>> find_units(pairs, None).kind, find_units(pairs, ["ann", "ann", "bob"]).size
    ('image', 2)
    """
    images = max(int(np.max(pairs.first)), int(np.max(pairs.second))) + 1
    if identities is None:
        times = np.bincount(pairs.first, minlength=images)
        times += np.bincount(pairs.second, minlength=images)
        if times.max() == 1:
            return Units("comparison", len(pairs.first), np.zeros(0, np.int32))
        codes = np.cumsum(times > 0) - 1
        units = Units("image", int(codes[-1]) + 1, codes)
    else:
        known = identity_codes(identities, np.size(identities)).astype(np.int32)
        if images > len(known):
            message = (
                f"the pairs have image {images - 1}, but there are {len(known)} "
                "identities"
            )
            raise InputError(message)
        occurs = np.zeros(int(known.max()) + 1, np.bool_)
        for part in blocks(len(pairs.first)):
            one, other = known[pairs.first[part]], known[pairs.second[part]]
            _check_mated(pairs, part, one, other)
            occurs[one] = True
            occurs[other] = True
        codes = (np.cumsum(occurs) - 1)[known]
        units = Units("identity", int(occurs.sum()), codes)
    return units._replace(code=units.code.astype(units.dtype))


def blocks(count: int) -> Iterator[slice]:
    """Cut a long list into slices that are worked on one by one."""
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def sides(
    pairs: Pairs, units: Units, rows: slice | NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Give the two units whose weights multiply to that of a comparison.

    A copy of an identity is a person of its own, with that person's own mated
    comparisons, and none with another copy: a mated one weighs w_i, not w_i². Its other
    side is the unit after the last, whose weight is always 1.
    """
    if units.kind == "comparison":
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(pairs.first)))
        one = rows.astype(units.dtype)
        return one, np.full(len(one), units.size, units.dtype)
    one, other = units.code[pairs.first[rows]], units.code[pairs.second[rows]]
    if units.kind == "identity":
        other[pairs.mated[rows]] = units.size
    return one, other


def weight_chunks(
    units: Units, draws: Draws, size: int
) -> Iterator[Float[np.ndarray, "replicates units"]]:
    """Yield the weights of the units: all 1 first, then those of the replicates.

    They do not depend on ``size``, the replicates of a chunk; the last column is 1.
    """
    yield np.ones((1, units.size + 1), np.float32)
    rng = np.random.default_rng(draws.seed)
    everyone = np.arange(units.size)
    groups = deletion_groups(everyone, draws.replicates, draws.seed)
    for start in range(0, draws.replicates, size):
        count = min(size, draws.replicates - start)
        chunk = np.ones((count, units.size + 1), np.float32)
        if draws.method == "bootstrap":
            chunk[:, :-1] = bootstrap_weights(everyone, count, rng)
        else:
            chunk[:, :-1] = without_each(groups, start, start + count)
        yield chunk


def _check_mated(
    pairs: Pairs, part: slice, one: NDArray[np.int32], other: NDArray[np.int32]
) -> None:
    odd = (one == other) != pairs.mated[part]
    if odd.any():
        row = part.start + int(np.argmax(odd))
        message = (
            f"comparison {row} of images {pairs.first[row]} and {pairs.second[row]} "
            "contradicts their identities; give the identities that made the pairs"
        )
        raise InputError(message)
