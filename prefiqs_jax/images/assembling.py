"""Turn a batch's files into one array of pixels: what the loader's workers do."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from prefiqs_jax.images.opening import BadImage, NeededSize
from prefiqs_jax.images.stores import FILES, Store

Transform = Callable[[np.ndarray], np.ndarray]
"""Map pixels (n, height, width, 3), uint8, to what the network takes."""

Outcome = tuple[str, ...] | BadImage
"""The conversions that an image needed, or why it cannot be used."""


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedBatch:
    """One batch of decoded images; n may be less than the batch size, or 0."""

    index: int
    """Covers ``names[index * batch_size : (index + 1) * batch_size]`` of the folder."""
    names: tuple[str, ...]
    """The n images that are here."""
    identities: tuple[str | None, ...]
    """The person in each of them, None where unknown."""
    pixels: np.ndarray
    """Shape (n, height, width, 3), uint8, RGB."""
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of the images left out."""
    conversions: dict[str, tuple[str, ...]]
    """Conversion, such as ``"grey to RGB"``, to the names that needed it."""
    images: np.ndarray | None = None
    """The transformed pixels; None without a transform, and where n is 0."""


def decode_into(
    pixels: np.ndarray,
    root: Path,
    names: Sequence[str],
    needed: NeededSize,
    stopped: Callable[[], bool] = lambda: False,
    store: Store = FILES,
) -> list[Outcome]:
    """Open, check and decode images, each into its row of an array.

    Parameters
    ----------
    pixels
        Shape (n, height, width, 3), uint8: written to, except where an image is bad.
    root, names
        The n images: names are below the root.
    needed
        Size that every image must have.
    stopped
        Asked before every image; once true, the rest is left undone.
    store
        What gives the images by their names.

    Returns
    -------
    list of Outcome
        One for each image, in order.
    """
    outcomes: list[Outcome] = []
    for row, name in zip(pixels, names, strict=True):
        if stopped():
            break
        try:
            decoded = store.load(root, name, needed)
        except BadImage as error:
            outcomes.append(error)
        else:
            row[:] = decoded.pixels
            outcomes.append(decoded.conversions)
    return outcomes


def assemble(
    index: int,
    people: Sequence[tuple[str, str | None]],
    pixels: np.ndarray,
    outcomes: Sequence[Outcome],
    skip: bool,
    transform: Transform | None,
) -> LoadedBatch:
    """Put a batch together, without its bad images.

    Parameters
    ----------
    index
        Of the batch.
    people
        (name, identity) of its n images.
    pixels
        Shape (n, height, width, 3), uint8; rows of bad images hold anything.
    outcomes
        What came of each image.
    skip
        Leave bad images out, or else raise the first.
    transform
        Applied to the pixels that stay, if any do.

    Raises
    ------
    BadImage
        The first bad image, unless `skip`.
    """
    kept: list[int] = []
    skipped: list[tuple[str, str]] = []
    conversions: dict[str, tuple[str, ...]] = {}
    for row, ((name, _), outcome) in enumerate(zip(people, outcomes, strict=True)):
        if isinstance(outcome, BadImage):
            if not skip:
                raise outcome
            skipped.append((name, outcome.reason))
            continue
        kept.append(row)
        for conversion in outcome:
            conversions[conversion] = (*conversions.get(conversion, ()), name)
    if skipped:
        pixels = pixels[kept]
    return LoadedBatch(
        index,
        tuple(people[row][0] for row in kept),
        tuple(people[row][1] for row in kept),
        pixels,
        tuple(skipped),
        conversions,
        transform(pixels) if transform and kept else None,
    )
