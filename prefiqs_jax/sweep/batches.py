"""The loop of a run: load, measure and write batch after batch, each ahead of the next.

While the devices work on one batch, the next is decoded and handed over; only then are
the numbers of the first fetched. So a device waits only where images come too slowly.
"""

import contextlib
import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import jax
import numpy as np

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    ImageFolder,
    LoadedBatch,
    load_batches,
)
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.results.parts import write_table
from prefiqs_jax.sweep.assignment import Assignment
from prefiqs_jax.sweep.engine import Measured, none_measured
from prefiqs_jax.sweep.executor import Executor, InFlight
from prefiqs_jax.sweep.extras import NONE, Extras
from prefiqs_jax.sweep.record import RunRecord
from prefiqs_jax.sweep.rows import as_columns, check_measured
from prefiqs_jax.terminal import progress_bar

IN_FLIGHT = 2
"""Batches handed to the devices: the one they work on, and the next."""


@dataclasses.dataclass(frozen=True)
class Work:
    """What a run measures.

    Attributes
    ----------
    backbone, masks
        Network, and its packed masks.
    folder
        Images.
    batch_size
        Images of one part.
    on_bad_image
        ``"fail"`` or ``"skip"``.
    extras
        What is measured on request.
    """

    backbone: Backbone
    masks: PackedMasks
    folder: ImageFolder
    batch_size: int
    on_bad_image: Literal["fail", "skip"]
    extras: Extras = NONE

    def load(self, batches: Sequence[int]) -> Generator[LoadedBatch, None, None]:
        """Load and preprocess these batches; errors as ``load_batches``."""
        pixels = self.backbone.preprocessing
        return load_batches(
            self.folder,
            height=pixels.height,
            width=pixels.width,
            batch_size=self.batch_size,
            needed_by=self.backbone.name,
            on_bad_image=self.on_bad_image,
            batches=batches,
            transform=self.backbone.preprocess,
        )


def measure_batches(
    work: Work,
    todo: Assignment,
    executor: Executor,
    out: str | os.PathLike[str],
    record: RunRecord,
    *,
    done_images: int,
    progress: bool,
    say: Callable[[str], None],
) -> None:
    """Measure these batches and write a part for each, in order.

    Parameters
    ----------
    work
        What to measure.
    todo
        Which batches of which run.
    executor
        The devices.
    out
        Run folder.
    record
        Gets the skipped images, and how long the devices waited for images.
    done_images
        Images of this process that were done before, for the bar.
    progress
        Show a bar with rate and time left on standard error.
    say
        Gets the notes on conversions.

    Raises
    ------
    InputError
        If an image cannot be used or has changed since the run was opened, an
        embedding is zero or not finite, or a part cannot be written. Parts of the
        batches before are there.
    """
    names = len(work.folder.names)
    size = work.batch_size
    left = sum(min(size, names - i * size) for i in todo.batches)
    bar = progress_bar(done_images + left, initial=done_images, progress=progress)
    loaded = work.load(todo.batches)
    told: set[str] = set()
    queue: deque[tuple[LoadedBatch, InFlight | None]] = deque()

    def finish() -> None:
        first, flight = queue.popleft()
        measured = None if flight is None else executor.finish(flight)
        batch, rows = first.each_with(
            lambda batch: _rows(work, first, batch, measured), work.on_bad_image
        )
        if batch.skipped:
            record.skip(batch.skipped)
            for name, reason in batch.skipped:
                say(f"left out {name}: {reason}")
        todo.check_images(work.folder, batch.index)
        write_table(out, batch.index, rows, todo.schema, todo.digest)
        for conversion, images in batch.conversions.items():
            if conversion not in told:
                told.add(conversion)
                say(f"note: {conversion} (first: {images[0]})")
        bar.update(len(batch.names) + len(batch.skipped))

    waited = 0.0
    with bar, contextlib.closing(loaded):
        while True:
            began = time.monotonic()
            try:
                batch = next(loaded, None)
            except InputError:
                while queue:  # what came before the bad image is good
                    finish()
                raise
            if queue and all(not flight or flight.is_ready() for _, flight in queue):
                # The devices ran dry at some time since; at most this long ago.
                waited += time.monotonic() - began
            if batch is None:
                break
            images = batch.images
            flight = executor.start(images) if images is not None else None
            queue.append((batch, flight))
            if len(queue) == IN_FLIGHT:
                finish()
        while queue:
            finish()
    record.session["waited_for_pictures_s"] = round(waited, 3)


def _rows(
    work: Work, whole: LoadedBatch, batch: LoadedBatch, measured: Measured | None
) -> dict[str, Any]:
    """Give rows of what is left of a batch; where every image was skipped, none."""
    found = none_measured(len(work.masks.sparsities), work.extras)
    if measured is not None and batch.names:
        kept = np.isin(whole.names, batch.names)
        found: Measured = jax.tree.map(lambda values: values[..., kept], measured)
        check_measured(batch.names, work.masks, found)
    return as_columns(
        work.backbone.name, batch.names, batch.identities, work.masks, found
    )
