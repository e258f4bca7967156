"""What a process of a run has to do: which batches, of what size."""

import contextlib
import dataclasses
import os
from typing import Any, Literal

import jax

from prefiqs_jax.backbones.backbone import Backbone
from prefiqs_jax.images import ImageFolder, batch_count, refuse_bad
from prefiqs_jax.results.parts import finished_parts
from prefiqs_jax.results.run_folder import open_run
from prefiqs_jax.sweep.distributed import Agreed, Share, agree, all_stop_if_one_must
from prefiqs_jax.sweep.planner import default_batch_size


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What one process of a run has to do.

    Attributes
    ----------
    share
        Which process this is.
    batches
        Indices of this process's batches that are to be done.
    done
        How many of its batches were done before.
    complete
        Whether the whole run was.
    settings
        Of the run, its batch size included.
    manifest
        Of the run that is continued; None for a new one.
    """

    share: Share
    batches: list[int]
    done: int
    complete: bool
    settings: dict[str, Any]
    manifest: dict[str, Any] | None


def assign(
    backbone: Backbone,
    folder: ImageFolder,
    out: str | os.PathLike[str],
    settings: dict[str, Any],
    *,
    device_count: int,
    on_bad_image: Literal["fail", "skip"],
    beside: frozenset[str],
    distributed: bool,
) -> Assignment:
    """Open the run, check the pictures, and agree with other processes, if any.

    Parameters
    ----------
    backbone, folder, out
        As in :func:`prefiqs_jax.sweep.sweep`.
    settings
        That decide the rows; a batch size of None is chosen here.
    device_count
        Devices of this process.
    on_bad_image, beside, distributed
        As in :class:`prefiqs_jax.sweep.SweepOptions`.

    Raises
    ------
    InputError
        If the run has other settings, a picture cannot be used, or another process is
        at odds with this one. Nothing has been written then.
    """
    count = len(folder.names)
    with all_stop_if_one_must() if distributed else contextlib.nullcontext():
        manifest = open_run(out, settings, beside=beside)
        size = (manifest or {"settings": settings})["settings"]["batch_size"]
        size = size or default_batch_size(
            count, device_count, jax.process_count() if distributed else 1
        )
        done = finished_parts(out)
        first = not distributed or jax.process_index() == 0
        if first and on_bad_image == "fail" and len(done) < batch_count(folder, size):
            pixels = backbone.preprocessing
            refuse_bad(folder, pixels.height, pixels.width, backbone.name)
    agreed = Agreed(Share(), size, frozenset(done))
    if distributed:
        agreed = agree(settings, batch_size=size, batch_bound=count, done=done)
    every = range(batch_count(folder, agreed.batch_size))
    missing = [index for index in every if index not in agreed.done]
    return Assignment(
        agreed.share,
        agreed.share.of(missing),
        len(agreed.share.of(sorted(agreed.done))),
        not missing,
        (manifest["settings"] if manifest else settings)
        | {"batch_size": agreed.batch_size},
        manifest,
    )
