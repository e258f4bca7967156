"""Which crops of an earlier call are still those of their images."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.threads import usable_cores
from prefiqs_jax.images.align.plan import Task, as_stamped
from prefiqs_jax.images.align.stamp import Stamp, pixels_sha256, read_stamp
from prefiqs_jax.images.decode import decode_file
from prefiqs_jax.images.inventory import Times, file_sha256, file_times
from prefiqs_jax.images.opening import BadImage, silence_pillow

# Two changes within this time may bear the same one, on file systems that round it.
_COARSEST_CLOCK_NS = 2 * 10**9


class Earlier(NamedTuple):
    """What an earlier call has left."""

    landmarks: dict[str, tuple[tuple[float, ...], ...]]
    """Landmarks of the crops that need not be made again, by name."""
    outdated: list[str]
    """Crops whose image has changed, by name."""
    times: dict[str, tuple[Times | None, Times]]
    """Times of the image and of the crop, by name of the crop."""


def times_of(status: os.stat_result) -> Times | None:
    """Tell files of one name apart; None for one that was changed just now."""
    if time.time_ns() - status.st_ctime_ns < _COARSEST_CLOCK_NS:
        return None
    return file_times(status)


def find_earlier(
    source: Path,
    root: Path,
    tasks: Sequence[Task],
    wanted: Stamp,
    times: Mapping[str, tuple[Times | None, Times]],
) -> Earlier:
    """Find the crops that an earlier call has made, and those to make again.

    Files whose size and times are as they were are taken to be as they were; others
    are read.

    Parameters
    ----------
    source, root
        Folder of the images, and of the crops.
    tasks
        From :func:`~prefiqs_jax.images.align.plan_crops`.
    wanted
        How they are to be made; only its settings are looked at.
    times
        Times that an earlier call left, as in :class:`Earlier`; empty if unknown.

    Raises
    ------
    InputError
        If a file is there that was made in another way, of an image that is not to be
        aligned, by something else, or was changed since.
    """
    stamps = _read_stamps(root, tasks, wanted)
    now: dict[str, tuple[Times | None, Times]] = {}
    unsure = []
    for task in tasks:
        if task.crop in stamps:
            image = None
            with contextlib.suppress(OSError):  # then it is read, which names it
                image = times_of(os.stat(source / task.name))
            now[task.crop] = image, file_times(os.stat(root / task.crop))
            if image is None or times.get(task.crop) != now[task.crop]:
                unsure.append(task)
    outdated = []
    silence_pillow()
    with ThreadPoolExecutor(usable_cores()) as pool:
        digests = pool.map(lambda task: _digests(source, root, task), unsure)
        for task, (image, pixels) in zip(unsure, digests, strict=True):
            if pixels != stamps[task.crop].pixels_sha256:
                message = (
                    f"{root / task.crop} was changed since prefiqs align made it; move "
                    "it away, or give another folder"
                )
                raise InputError(message)
            if image != stamps[task.crop].source_sha256:
                outdated.append(task.crop)
    done = {
        crop: stamp.landmarks
        for crop, stamp in stamps.items()
        if crop not in set(outdated)
    }
    for task in tasks:
        if task.crop in done and task.landmarks is not None:
            new = as_stamped(task.landmarks)
            had = {"landmarks": done[task.crop]}
            refuse_other_settings(root / task.crop, had, {"landmarks": new})
    return Earlier(done, outdated, {crop: now[crop] for crop in done})


def refuse_other_settings(
    path: Path, stored: Mapping[str, object], wanted: Mapping[str, object]
) -> None:
    """Refuse, with the first difference named, what was made with other settings."""
    for name, new in wanted.items():
        if (old := stored.get(name)) != new:
            message = (
                f"{path} was made with other {name} ({_short(old)}, not {_short(new)})"
                "; give another folder, or delete this one"
            )
            raise InputError(message)


def _read_stamps(root: Path, tasks: Sequence[Task], wanted: Stamp) -> dict[str, Stamp]:
    """Read the stamps of all crops; InputError if one should not be there."""
    stamps = {}
    for task in tasks:
        path = root / task.crop
        if os.path.lexists(path):
            stamp = read_stamp(path)
            if stamp is None:
                message = (
                    f"{path} is there and is no crop of prefiqs align; give another "
                    "folder, or move it away"
                )
                raise InputError(message)
            refuse_other_settings(path, stamp.settings, wanted.settings)
            stamps[task.crop] = stamp
    planned = {task.crop for task in tasks}
    for path in root.rglob("*.png"):
        crop = path.relative_to(root).as_posix()
        if crop not in planned and read_stamp(path) is not None:
            message = (
                f"{path} is the crop of an image that is not, or no longer, aligned; "
                "give another folder, or delete it"
            )
            raise InputError(message)
    return stamps


def _digests(source: Path, root: Path, task: Task) -> tuple[str, str]:
    """Digest the file of an image and the pixels of its crop; empty if unreadable."""
    image = pixels = ""
    with contextlib.suppress(OSError):
        image = file_sha256(source / task.name)
    with contextlib.suppress(BadImage):
        pixels = pixels_sha256(decode_file(root / task.crop, task.crop).pixels)
    return image, pixels


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
