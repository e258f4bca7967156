"""Align the images of a folder, in threads and in order."""

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.threads import usable_cores
from prefiqs_jax.images.align.detector import Detect, choose
from prefiqs_jax.images.align.earlier import times_of
from prefiqs_jax.images.align.plan import Task, as_stamped
from prefiqs_jax.images.align.stamp import Stamp, encode_stamped
from prefiqs_jax.images.decode import decode_bytes
from prefiqs_jax.images.geometry import align
from prefiqs_jax.images.inventory import Times
from prefiqs_jax.images.loading import in_order
from prefiqs_jax.images.opening import BadImage, regular_file, silence_pillow

WriteCrop = Callable[[str, bytes], None]
"""Write a crop: its name, and the content of the file. Called in several threads."""

_MOST_WORKERS = 8
# Images under way for each thread.
_AHEAD = 4


class Crop(NamedTuple):
    """What came of one image."""

    task: Task
    landmarks: tuple[tuple[float, ...], ...] | None
    """Those used; None if the image was left out."""
    reason: str
    """Why it was left out, to be read after its name; else empty."""
    source_times: Times | None = None
    """Times of the image's file as it was read."""


def align_images(
    root: Path,
    tasks: Sequence[Task],
    stamp: Stamp,
    write: WriteCrop,
    *,
    open_detector: Callable[[], Detect] | None = None,
    skip: bool = False,
    workers: int | None = None,
) -> Generator[Crop, None, None]:
    """Read, locate, crop, encode and write images; give what came of each, in order.

    Parameters
    ----------
    root
        Folder of the source images.
    tasks
        From :func:`~prefiqs_jax.images.align.plan_crops`.
    stamp
        How to make them: its template and height. Its landmarks are filled in.
    write
        Writes one crop.
    open_detector
        Makes a detector, once for each thread; needed where a task has no landmarks.
    skip
        Leave out an image that cannot be used, or else raise.
    workers
        Threads; None for one per usable core, at most 8.

    Returns
    -------
    generator of Crop
        Closing it stops the threads.

    Raises
    ------
    BadImage
        While iterating, if an image cannot be read, shows no face or does not contain
        its landmarks, and `skip` is false.
    """
    workers = workers or min(usable_cores(), _MOST_WORKERS)
    idle: queue.SimpleQueue[Detect | None] = queue.SimpleQueue()
    for _ in range(workers):
        idle.put(open_detector() if open_detector else None)
    silence_pillow()
    stop = threading.Event()

    def run(task: Task) -> Crop:
        if stop.is_set():
            return Crop(task, None, "was not reached")
        detect = idle.get()
        try:
            content, points, times = _make(root, task, stamp, detect)
        except BadImage as error:
            if not skip:
                raise
            return Crop(task, None, error.reason)
        finally:
            idle.put(detect)
        write(task.crop, content)
        return Crop(task, points, "", times)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefiqs-align")
    try:
        yield from in_order(
            lambda task: pool.submit(run, task), tasks, _AHEAD * workers
        )
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def locate(
    name: str, pixels: UInt8[np.ndarray, "height width 3"], detect: Detect
) -> Float[np.ndarray, "5 2"]:
    """Find the landmarks of the face that an image is of.

    Raises
    ------
    BadImage
        If the detector finds no face.
    """
    face = choose(detect(pixels), *pixels.shape[:2])
    if face is None:
        reason = (
            f"shows no face that the detector finds ({pixels.shape[1]}×"
            f"{pixels.shape[0]} pixels); give its landmarks in a table, or leave it "
            "out with --on-bad-image skip"
        )
        raise BadImage(name, reason)
    return face.landmarks


def _make(
    root: Path, task: Task, stamp: Stamp, detect: Detect | None
) -> tuple[bytes, tuple[tuple[float, ...], ...], Times | None]:
    with regular_file(root / task.name, task.name, buffered=False) as file:
        times = times_of(os.fstat(file.fileno()))
        data = file.read()
    pixels = decode_bytes(data, task.name).pixels
    points = task.landmarks
    if points is None:
        if detect is None:
            message = f"{task.name} has no landmarks, and there is no detector"
            raise InputError(message)
        points = locate(task.name, pixels, detect)
    try:
        crop = align(pixels, points, template=stamp.template, size=stamp.height)
    except InputError as error:
        raise BadImage(task.name, f"cannot be aligned: {error}") from None
    stamped = as_stamped(points)
    digest = hashlib.sha256(data).hexdigest()
    stamp = stamp._replace(landmarks=stamped, source_sha256=digest)
    return encode_stamped(crop, stamp), stamped, times
