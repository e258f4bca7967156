"""Ways to load a folder in batches, each as a generator of pixels, to be compared.

Nothing here imports JAX: worker processes import this file.
"""

import contextlib
import functools
import importlib
import importlib.util
import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.images import ImageFolder, batch_count, load_batches
from prefiqs_jax.images.loading import decode_into
from prefiqs_jax.images.opening import BadImage, NeededSize, silence_pillow

SIDE = 112
NEEDED = NeededSize(SIDE, SIDE, "the benchmark")
PIECE = 16
AHEAD = 2

Way = Callable[[ImageFolder, int], Generator[np.ndarray, None, None]]
"""``(folder, batch size) -> batches of pixels``, in the folder's order."""


def has_grain() -> bool:
    """Say whether grain is installed."""
    return importlib.util.find_spec("grain") is not None


def decoded(root: Path, names: tuple[str, ...]) -> np.ndarray:
    """Decode images of the right size, shape (n, 112, 112, 3)."""
    silence_pillow()
    pixels = np.empty((len(names), SIDE, SIDE, 3), np.uint8)
    for outcome in decode_into(pixels, root, names, NEEDED):
        if isinstance(outcome, BadImage):
            raise outcome
    return pixels


def warm() -> None:
    """Be a first task: what it waits for is the start of the process."""


def ours(workers: int | None) -> Way:
    """Load with the package's threads."""

    def load(folder: ImageFolder, size: int) -> Generator[np.ndarray, None, None]:
        batches = load_batches(
            folder, height=SIDE, width=SIDE, batch_size=size, workers=workers
        )
        with contextlib.closing(batches):
            for batch in batches:
                yield batch.pixels

    return load


@contextlib.contextmanager
def process_pool(workers: int) -> Iterator[Way]:
    """Load with a pool of processes that send their pixels back through pipes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        for task in [pool.submit(warm) for _ in range(4 * workers)]:
            task.result()

        def load(folder: ImageFolder, size: int) -> Generator[np.ndarray, None, None]:
            waiting: deque[list[Any]] = deque()
            for index in range(batch_count(folder, size)):
                names = folder.names[index * size : (index + 1) * size]
                pieces = [names[i : i + PIECE] for i in range(0, len(names), PIECE)]
                tasks = [pool.submit(decoded, folder.root, some) for some in pieces]
                waiting.append(tasks)
                if len(waiting) > AHEAD:
                    parts = [task.result() for task in waiting.popleft()]
                    yield np.concatenate(parts)
            for tasks in waiting:
                yield np.concatenate([task.result() for task in tasks])

        yield load


def grain_threads(workers: int) -> Way:
    """Load with grain's reading threads, an image a task, as its tutorials do."""
    grain = importlib.import_module("grain")

    def load(folder: ImageFolder, size: int) -> Generator[np.ndarray, None, None]:
        one = functools.partial(picture, folder.root)
        options = grain.ReadOptions(workers, (1 + AHEAD) * size)
        yield from (
            grain.MapDataset.source(folder.names)
            .map(one)
            .to_iter_dataset(options)
            .batch(size)
        )

    return load


def grain_processes(workers: int) -> Way:
    """Load with grain's processes, a batch a task: so the batches stay as they are."""
    grain = importlib.import_module("grain")
    flags = importlib.import_module("absl.flags")

    # Else its processes do not start: it asks for options of a command line.
    flags.FLAGS(["pipeline"], known_only=True)

    def load(folder: ImageFolder, size: int) -> Generator[np.ndarray, None, None]:
        starts = range(0, len(folder.names), size)
        batches = [folder.names[first : first + size] for first in starts]
        one = functools.partial(decoded, folder.root)
        data = grain.MapDataset.source(batches).map(one)
        yield from data.to_iter_dataset(grain.ReadOptions(1, 1)).mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
        )

    return load


def picture(root: Path, name: str) -> np.ndarray:
    """Decode one image."""
    return decoded(root, (name,))[0]
