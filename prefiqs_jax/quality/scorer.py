"""The record that the rest of the code sees of a quality score."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import NoDirection

Qualities = dict[str, NDArray[np.float64]]
"""Name of an output to the quality of each image, shape (n,); higher = better."""


@dataclasses.dataclass(frozen=True)
class Scorer:
    """One or more quality scores that share their work.

    Attributes
    ----------
    names
        Names of the outputs, such as ``norm``, ``prefiqs/0.4`` or ``grafiqs/block1``.
    call
        ``(images, seeds) -> {name: quality (n,)}`` of preprocessed images (n, height,
        width, 3), float32, n ≥ 1, and their seeds (n,), uint32, as
        :func:`image_seeds` gives them. Higher is better, always. InputError where a
        quality is not finite, naming the rows.
    identity
        What decides the numbers beside network and images, by name: masks, how much is
        drawn, seeds. Values are of JSON.
    """

    names: tuple[str, ...]
    call: Callable[[NDArray, NDArray[np.uint32]], Qualities]
    identity: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def scorer(
    names: Iterable[str],
    compute: Callable[[NDArray, NDArray[np.uint32]], Mapping[str, NDArray]],
    **identity: Any,
) -> Scorer:
    """Make a scorer that gives the outputs asked for, all of them finite."""
    names = tuple(names)

    def call(images: NDArray, seeds: NDArray[np.uint32]) -> Qualities:
        found = compute(images, seeds)
        kept = {name: np.asarray(found[name], np.float64) for name in names}
        for name, quality in kept.items():
            bad = np.flatnonzero(~np.isfinite(quality))
            if bad.size:
                raise NotFinite(name, bad.tolist())
        return kept

    return Scorer(names, call, identity)


class NotFinite(NoDirection):
    """A quality of some images is not finite: their embedding has no direction."""

    def __init__(self, name: str, rows: Sequence[int], names: Sequence[str] = ()):
        self.name, self.rows = name, rows
        told = ", ".join(names[row] if names else str(row) for row in rows[:5])
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        where = (
            f"{told}{more}" if names else f"the images in rows {told}{more} (from 0)"
        )
        super().__init__(
            f"{name}: no finite quality for {where}: the embedding is zero or not "
            "finite",
            (names[row] for row in rows if names),
            f"has no finite quality {name}: the embedding is zero or not finite",
        )


def score_images(
    scorers: Iterable[Scorer], names: Sequence[str], images: NDArray
) -> Qualities:
    """Compute all qualities of some images.

    Parameters
    ----------
    scorers
        From :func:`prefiqs_jax.quality.make_scorers`.
    names
        Names of the images; they seed what is drawn at random.
    images
        Preprocessed, shape (n ≥ 1, height, width, 3).

    Raises
    ------
    NotFinite
        If a quality is not finite; names the images.
    """
    seeds, found = image_seeds(names), {}
    for each in scorers:
        try:
            found |= each.call(images, seeds)
        except NotFinite as error:
            raise NotFinite(error.name, error.rows, names) from None
    return found


def image_seeds(names: Iterable[str]) -> NDArray[np.uint32]:
    """Give each image a seed that depends on its name alone.

    So a method that draws random numbers gives an image the same quality in any batch,
    order or subset. (Of 469,000 names some 25 pairs share a seed; that correlates their
    draws, no more.)

    Parameters
    ----------
    names
        Names of n images.

    Returns
    -------
    ndarray
        First four bytes, little-endian, of the SHA-256 of the name in UTF-8; (n,).

    Examples
    --------
    >>> image_seeds(["a.png", "b.png"]).tolist() == [2**32 - 1, 0]
    False
    >>> image_seeds(["a.png", "b.png"])[1] == image_seeds(["b.png"])[0]
    np.True_
    """
    digests = (
        hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        for name in names
    )
    return np.array([int.from_bytes(d[:4], "little") for d in digests], np.uint32)
