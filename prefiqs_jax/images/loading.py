"""Load a folder's pictures in fixed batches, decoded ahead in threads, in order."""

import dataclasses
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.decode import Decoded, prepare, to_rgb
from prefiqs_jax.images.folder import ImageFolder
from prefiqs_jax.images.opening import BadImage, NeededSize, quiet_pillow

_BATCHES_AHEAD = 2


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedBatch:
    """One batch of decoded pictures; n may be less than the batch size, or 0."""

    index: int
    """Covers ``names[index * batch_size : (index + 1) * batch_size]`` of the folder."""
    names: tuple[str, ...]
    """The n pictures that are here."""
    identities: tuple[str | None, ...]
    """The person in each of them, None where unknown."""
    pixels: np.ndarray
    """Shape (n, height, width, 3), uint8, RGB."""
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of the pictures left out."""
    conversions: dict[str, tuple[str, ...]]
    """Conversion, such as ``"grey to RGB"``, to the names that needed it."""


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A batch under way: (name, identity, what will become of it) in order."""

    index: int
    items: list[tuple[str, str | None, "Future[Decoded] | BadImage"]]


def batch_count(folder: ImageFolder, batch_size: int) -> int:
    """Return how many batches the folder's pictures fill, the last maybe partly."""
    return -(-len(folder.names) // batch_size)


def load_batches(
    folder: ImageFolder,
    *,
    height: int,
    width: int,
    batch_size: int,
    needed_by: str = "the network",
    on_bad_image: Literal["fail", "skip"] = "fail",
    first_batch: int = 0,
    batches: Sequence[int] | None = None,
    workers: int = 4,
) -> Generator[LoadedBatch, None, None]:
    """Load batches in order, the next two decoding while the caller computes.

    Batch i always covers the same names, so that a run can stop after any batch and
    resume with the next; a skipped picture leaves its batch smaller.

    Parameters
    ----------
    folder
        Pictures to load.
    height, width
        Size that every picture must have, in pixels.
    batch_size
        Pictures in a batch.
    needed_by
        Who needs this size, for the error message.
    on_bad_image
        ``"fail"`` raises at the first bad picture; ``"skip"`` leaves it out.
    first_batch
        Index of the batch to start with.
    batches
        Indices of the batches to load, in this order; None for all from `first_batch`.
    workers
        Threads that decode.

    Returns
    -------
    generator of LoadedBatch
        Closing it stops the threads; ``contextlib.closing`` does so on an error, too.

    Raises
    ------
    BadImage
        While iterating, if a picture is unreadable or of another size and
        `on_bad_image` is ``"fail"``.
    InputError
        If a setting or the index of a batch is out of range.
    """
    for setting, value in (("batch_size", batch_size), ("workers", workers)):
        if value < 1:
            message = f"{setting} is {value}; it must be at least 1"
            raise InputError(message)
    if on_bad_image not in ("fail", "skip"):
        message = f"on_bad_image is {on_bad_image!r}; choose fail or skip"
        raise InputError(message)
    count = batch_count(folder, batch_size)
    if batches is None:
        if not 0 <= first_batch <= count:
            message = f"first_batch is {first_batch}; {folder.root} has {count} batches"
            raise InputError(message)
        batches = range(first_batch, count)
    elif first_batch:
        message = "give either first_batch or batches, not both"
        raise InputError(message)
    for index in batches:
        if not 0 <= index < count:
            message = f"there is no batch {index}; {folder.root} has {count} batches"
            raise InputError(message)

    needed = NeededSize(height, width, needed_by)
    skip = on_bad_image == "skip"
    return _generate(folder, needed, batch_size, skip, batches, workers)


def _generate(
    folder: ImageFolder,
    needed: NeededSize,
    batch_size: int,
    skip: bool,
    batches: Sequence[int],
    workers: int,
) -> Generator[LoadedBatch, None, None]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefiqs-decode")
    under_way: deque[_Pending] = deque()
    try:
        for index in batches:
            under_way.append(_start(pool, folder, needed, batch_size, index))
            if len(under_way) > _BATCHES_AHEAD:
                yield _finish(under_way.popleft(), needed, skip)
        while under_way:
            yield _finish(under_way.popleft(), needed, skip)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(
    pool: ThreadPoolExecutor,
    folder: ImageFolder,
    needed: NeededSize,
    batch_size: int,
    index: int,
) -> _Pending:
    items: list[tuple[str, str | None, Future[Decoded] | BadImage]] = []
    chosen = slice(index * batch_size, (index + 1) * batch_size)
    with quiet_pillow():
        for name, identity in zip(
            folder.names[chosen], folder.identities[chosen], strict=True
        ):
            try:
                prepared = prepare(folder.root / name, name, needed)
            except BadImage as error:
                items.append((name, identity, error))
            else:
                items.append((name, identity, pool.submit(to_rgb, prepared)))
    return _Pending(index, items)


def _finish(pending: _Pending, needed: NeededSize, skip: bool) -> LoadedBatch:
    names, identities, pictures, skipped = [], [], [], []
    conversions: dict[str, tuple[str, ...]] = {}
    for name, identity, result in pending.items:
        try:
            if isinstance(result, BadImage):
                raise result
            decoded = result.result()
        except BadImage as error:
            if not skip:
                raise
            skipped.append((name, error.reason))
            continue
        names.append(name)
        identities.append(identity)
        pictures.append(decoded.pixels)
        for conversion in decoded.conversions:
            conversions[conversion] = (*conversions.get(conversion, ()), name)
    empty = np.empty((0, needed.height, needed.width, 3), np.uint8)
    pixels = np.stack(pictures) if pictures else empty
    return LoadedBatch(
        pending.index,
        tuple(names),
        tuple(identities),
        pixels,
        tuple(skipped),
        conversions,
    )
