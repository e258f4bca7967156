"""Load a folder's images in fixed batches, read ahead by threads, in order.

Measured with 5,000 images on two cores (``experiments/timings/pipeline.py``):
threads load 2,900 PNG or 3,100 JPEG a second, grain's threads 1,900 or 2,100, its
processes 2,800 or 5,000. A device that sweeps 1,000 images/s waits 0.3 % of its time
for these threads, so grain would add its dependencies and no speed; one that scores
10,000 images/s would need processes.
"""

import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from prefiqs_jax.errors import InputError, NoDirection
from prefiqs_jax.execution.threads import usable_cores
from prefiqs_jax.images.folder import ImageFolder
from prefiqs_jax.images.opening import BadImage, NeededSize, silence_pillow
from prefiqs_jax.images.stores import FILES, Store

_BATCHES_AHEAD = 2
# Where two batches are more than this, one is read ahead.
_BYTES_AHEAD = 2**30
# An image holds the interpreter's lock for a quarter (PNG) to a half (JPEG) of its
# time: more threads only wait for it, and 8 load less than 2 on two cores.
_MOST_WORKERS = 4
# Images that a worker takes at once: few, so that all share the first batch.
_PIECE = 16

Item = TypeVar("Item")
Result = TypeVar("Result")
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

    def each_with(
        self, compute: Callable[["LoadedBatch"], Result], on_bad_image: str
    ) -> tuple["LoadedBatch", Result]:
        """Compute something of the batch, and give of what images.

        Where ``on_bad_image`` is ``"skip"``, those that raise
        :class:`~prefiqs_jax.errors.NoDirection` are left out.
        """
        try:
            return self, compute(self)
        except NoDirection as error:
            if on_bad_image != "skip":
                raise
            rest = self.without(error.names, error.reason)
        return rest.each_with(compute, on_bad_image)

    def without(self, names: Iterable[str], reason: str) -> "LoadedBatch":
        """Leave out some of the images."""
        bad = set(names)
        kept = [row for row, name in enumerate(self.names) if name not in bad]
        images = None if self.images is None or not kept else self.images[kept]
        return dataclasses.replace(
            self,
            names=tuple(self.names[row] for row in kept),
            identities=tuple(self.identities[row] for row in kept),
            pixels=self.pixels[kept],
            skipped=(*self.skipped, *((name, reason) for name in sorted(bad))),
            images=images,
        )


def batch_count(folder: ImageFolder, batch_size: int) -> int:
    """Return how many batches the folder's images fill, the last maybe partly."""
    return -(-len(folder.names) // batch_size)


def load_batches(
    folder: ImageFolder,
    *,
    height: int,
    width: int,
    batch_size: int,
    needed_by: str = "the network",
    on_bad_image: str = "fail",
    batches: Sequence[int] | None = None,
    transform: Transform | None = None,
    workers: int | None = None,
) -> Generator[LoadedBatch, None, None]:
    """Load batches in order, the next two under way while the caller computes.

    Batch i always covers the same names, so that a run can stop after any batch and
    resume with the next; a skipped image leaves its batch smaller.

    Everything is done in threads: reading, decoding, checking, transforming. The caller
    only waits. At most three batches exist here at a time, the one handed over and two
    ahead (one, if two are more than 1 GiB with the transform's float32), however many
    images there are.

    Parameters
    ----------
    folder
        Images to load.
    height, width
        Size that every image must have, in pixels.
    batch_size
        Images in a batch.
    needed_by
        Who needs this size, for the error message.
    on_bad_image
        ``"fail"`` raises at the first bad image; ``"skip"`` leaves it out.
    batches
        Indices of the batches to load, in this order; None for all.
    transform
        Map the pixels of a batch, (n, height, width, 3), uint8, to what the network
        takes; runs in the threads, several batches at a time.
    workers
        Threads; None for as many as there are usable cores, at most 4.

    Returns
    -------
    generator of LoadedBatch
        Closing it stops the threads; ``contextlib.closing`` does so on an error, too.

    Raises
    ------
    BadImage
        While iterating, if an image is unreadable or of another size and
        `on_bad_image` is ``"fail"``.
    InputError
        If a setting or the index of a batch is out of range.
    """
    if workers is None:
        workers = min(usable_cores(), _MOST_WORKERS)
    for setting, value in (("batch_size", batch_size), ("workers", workers)):
        if value < 1:
            message = f"{setting} is {value}; it must be at least 1"
            raise InputError(message)
    if on_bad_image not in ("fail", "skip"):
        message = f"on_bad_image is {on_bad_image!r}; choose fail or skip"
        raise InputError(message)
    count = batch_count(folder, batch_size)
    if batches is None:
        batches = range(count)
    for index in batches:
        if not 0 <= index < count:
            message = f"there is no batch {index}; {folder.root} has {count} batches"
            raise InputError(message)

    needed = NeededSize(height, width, needed_by)
    skip = on_bad_image == "skip"
    return _generate(folder, needed, batch_size, skip, batches, transform, workers)


def _generate(
    folder: ImageFolder,
    needed: NeededSize,
    batch_size: int,
    skip: bool,
    batches: Sequence[int],
    transform: Transform | None,
    workers: int,
) -> Generator[LoadedBatch, None, None]:
    silence_pillow()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefiqs-load")
    stop = threading.Event()

    def start(index: int) -> Future[LoadedBatch]:
        """Have a batch loaded: its pieces, and after them what joins them."""
        chosen = slice(index * batch_size, (index + 1) * batch_size)
        names, identities = folder.names[chosen], folder.identities[chosen]
        pixels = np.empty((len(names), needed.height, needed.width, 3), np.uint8)
        piece = min(_PIECE, -(-len(names) // workers))
        how = needed, stop.is_set, folder.store
        rows = [slice(row, row + piece) for row in range(0, len(names), piece)]
        pieces = [
            pool.submit(decode_into, pixels[some], folder.root, names[some], *how)
            for some in rows
        ]

        def join() -> LoadedBatch:
            # The pool takes tasks in their order: the pieces are done or under way in
            # other threads when this waits for them, even if there is one thread only.
            outcomes = [outcome for piece in pieces for outcome in piece.result()]
            known = index, names, identities, pixels
            return _assemble(*known, outcomes, skip, transform)

        return pool.submit(join)

    try:
        ahead = _batches_ahead(batch_size, needed, transform)
        yield from in_order(start, batches, ahead)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    start: Callable[[Item], Future[Result]], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """Give the results of items in their order, while so many more are under way."""
    under_way: deque[Future[Result]] = deque()
    for item in items:
        under_way.append(start(item))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def decode_into(
    pixels: np.ndarray,
    root: Path,
    names: Sequence[str],
    needed: NeededSize,
    stopped: Callable[[], bool] = lambda: False,
    store: Store = FILES,
) -> list[Outcome]:
    """Decode each image below the root into its row of (n, height, width, 3), uint8.

    Asks before each whether it is stopped: the rest is then left undone. The row of a
    bad image is not written to.
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


def _assemble(
    index: int,
    names: Sequence[str],
    identities: Sequence[str | None],
    pixels: np.ndarray,
    outcomes: Sequence[Outcome],
    skip: bool,
    transform: Transform | None,
) -> LoadedBatch:
    """Put a batch together, without its bad images; raise the first unless `skip`."""
    kept: list[int] = []
    skipped: list[tuple[str, str]] = []
    conversions: dict[str, tuple[str, ...]] = {}
    for row, (name, outcome) in enumerate(zip(names, outcomes, strict=True)):
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
        tuple(names[row] for row in kept),
        tuple(identities[row] for row in kept),
        pixels,
        tuple(skipped),
        conversions,
        transform(pixels) if transform and kept else None,
    )


def _batches_ahead(
    batch_size: int, needed: NeededSize, transform: Transform | None
) -> int:
    values = batch_size * needed.height * needed.width * 3
    # The transform's result is taken for float32.
    bytes_of_batch = values * (1 + 4 * (transform is not None))
    return _BATCHES_AHEAD if _BATCHES_AHEAD * bytes_of_batch <= _BYTES_AHEAD else 1
