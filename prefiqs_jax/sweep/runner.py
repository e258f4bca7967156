"""Run a sweep over a folder of faces: one pass over the images, safe to kill."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.identity import network_settings
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import keep_programs
from prefiqs_jax.execution.precision import (
    DEFAULT_PRECISION,
    Precision,
    at_double,
    image_type,
)
from prefiqs_jax.images import (
    IN_MEMORY,
    ImageFolder,
    ImageSource,
    as_folder,
    batch_count,
)
from prefiqs_jax.masks import AnyMask, NamedDelta
from prefiqs_jax.masks.norms import delta_norms
from prefiqs_jax.masks.overlap import overlaps
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.results.provenance import now, session_record
from prefiqs_jax.results.run_folder import FORMAT, write_manifest
from prefiqs_jax.results.schema import schema_of
from prefiqs_jax.sweep.assignment import Assignment, assign
from prefiqs_jax.sweep.batches import Work, measure_batches
from prefiqs_jax.sweep.distributed import abort_all_on_error
from prefiqs_jax.sweep.engine import prepare
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.extras import plan_extras
from prefiqs_jax.sweep.fidelity import describe_error, precision_error
from prefiqs_jax.sweep.packing import pack_changes
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.sweep.record import RunRecord
from prefiqs_jax.sweep.tuning import Tune
from prefiqs_jax.terminal import say
from prefiqs_jax.types import Params


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """How a sweep runs; only the precision changes what is measured.

    Attributes
    ----------
    batch_size
        Images in a batch, which is one part of the run; None = chosen. A run keeps its
        first. Where memory is short a batch goes through the devices in steps.
    memory_limit
        Bytes; None = found out.
    precision
        Precision of matmuls and convolutions, see
        :mod:`prefiqs_jax.execution.precision`. One below ``"highest"`` is compared with
        it on the first batch, and the error recorded.
    devices
        How many of this process's devices to use; None = all.
    tune
        Whether to measure which strategy is fastest: ``"auto"``, ``"always"`` or
        ``"never"``, see :data:`prefiqs_jax.sweep.tuning.Tune`.
    distributed
        Whether this is one of several processes that
        :func:`prefiqs_jax.sweep.distributed.join` has brought together.
    on_bad_image
        ``"fail"`` stops at an image that cannot be used, ``"skip"`` leaves it out.
    on_unreachable
        ``"fail"`` stops at a sparsity that a mask cannot reach, such as 2:4 any but
        0.5; ``"skip"`` leaves it out for that mask, says so, and records it.
    command
        Words of the command line, for run.json.
    progress
        Show a bar with rate and time left on standard error.
    beside
        Names of files and folders that a new run may find in its folder.
    calibration
        Images for scores that need data, in any form that :func:`sweep` takes; None =
        those of the sweep. Of more than 256, 256 are taken, evenly spread.
    extras
        What to measure besides, of :data:`prefiqs_jax.results.EXTRAS`.
    earlier
        Weights of an earlier checkpoint of the network, for movement.
    """

    batch_size: int | np.integer | None = None
    memory_limit: int | None = None
    precision: Precision = DEFAULT_PRECISION
    devices: int | None = None
    tune: Tune = "auto"
    distributed: bool = False
    on_bad_image: Literal["fail", "skip"] = "fail"
    on_unreachable: Literal["fail", "skip"] = "fail"
    command: list[str] | None = None
    progress: bool = True
    beside: frozenset[str] = frozenset()
    calibration: ImageSource | None = None
    extras: Collection[str] = ()
    earlier: Params | None = None


def sweep(
    backbone: Backbone,
    folder: ImageSource,
    mask: AnyMask | Sequence[AnyMask] | NamedDelta,
    sparsities: Sequence[float] | np.ndarray,
    out: str | os.PathLike[str],
    *,
    options: SweepOptions | None = None,
) -> Path:
    """Measure first-order and real drift of every image at every sparsity.

    Every finished batch is one Parquet part, so a killed run loses at most the batch in
    flight and the same call continues it.

    Parameters
    ----------
    backbone
        Trained network.
    folder
        Aligned faces of the size the network expects: an image folder, its path, image
        files, PIL images or uint8 arrays, see :func:`prefiqs_jax.images.as_folder`.
    mask
        A name of ``prefiqs masks``, such as ``"global/magnitude"``, what
        :func:`prefiqs_jax.masks.mask_named` gives, or any mask function. Its name, seed
        and prunable leaves, and the masks that it makes, are the run's. Several share
        one dense pass over each batch, and the column ``mask`` tells their rows apart.
        Or another change of the weights, a :class:`prefiqs_jax.masks.NamedDelta`.
    sparsities
        Each in [0, 1), no two alike; none for a change that is no mask.
    out
        Folder of the run: new, empty, or a run with the same settings, masks, weights
        and images (their content, not their names only).
    options
        How to run.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        If a sparsity, image or setting cannot be used, the folder holds anything else,
        another process works on it, an embedding is zero or not finite, or a file
        cannot be written. Finished parts are kept.
    """
    options = options or SweepOptions()
    started = time.monotonic()
    folder = as_folder(folder)
    calibration = folder
    if options.calibration is not None:
        calibration = as_folder(options.calibration, identities_matter=False)
    keep_programs()
    with abort_all_on_error() if options.distributed else contextlib.nullcontext():
        devices = _devices(options.devices)
        masks, identity = pack_changes(
            backbone,
            mask,
            sorted(sparsities),
            calibration,
            source="the swept images" if options.calibration is None else "given",
            earlier=options.earlier,
            on_bad_image=options.on_bad_image,
            on_unreachable=options.on_unreachable,
            say=lambda line: _say(options, line),
        )
        pixels = backbone.preprocessing
        extras = plan_extras(
            options.extras,
            backbone.name,
            backbone.apply_fn,
            backbone.params,
            masks,
            (pixels.height, pixels.width, 3),
            backbone.taps and backbone.taps.reverse_fn(),
        )
    opened = assign(
        backbone,
        folder,
        out,
        _settings(backbone, folder, identity, masks, options) | extras.settings(),
        schema_of(extras.names, extras.labels),
        device_count=len(devices),
        on_bad_image=options.on_bad_image,
        beside=options.beside,
        distributed=options.distributed,
        doing="prefiqs sweep",
        say=lambda line: _say(options, line),
        progress=options.progress,
    )
    with opened as todo:
        work = Work(
            backbone,
            masks,
            folder,
            todo.settings["batch_size"],
            options.on_bad_image,
            extras,
        )
        with at_double(options.precision):
            _sweep(work, Path(out), todo, devices, started, options)
    return Path(out)


def _sweep(
    work: Work,
    out: Path,
    todo: Assignment,
    devices: list[Any],
    started: float,
    options: SweepOptions,
) -> None:
    """Do what this process has to do of an opened run."""
    manifest, folder, size = todo.manifest, work.folder, work.batch_size
    if todo.complete:
        _say(options, f"{out} is complete already")
        if manifest and manifest["finished"] is None and not todo.share.index:
            # Killed after its last part.
            write_manifest(out, manifest | {"finished": now()})
        return
    if not todo.batches:
        _say(options, "nothing is left for this process")
        return
    _say(options, *folder.lines)

    executor = _executor(work, len(todo.batches), devices, options)
    session = session_record(options.command, options.precision, devices)
    record = RunRecord(
        out,
        manifest or _new_manifest(work, todo.settings),
        session | executor.plan.describe(),
        todo.share,
        None if manifest or todo.share.index else todo.inventory,
    )
    if options.precision not in ("highest", "double") and not todo.share.index:
        error = _precision_error(work, todo.batches, executor, options)
        record.session["precision_error"] = error
        if error is not None:
            _say(options, describe_error(options.precision, error))
    measure_batches(
        work,
        todo,
        executor,
        out,
        record,
        done_images=min(todo.done * size, len(folder.names)),
        # One bar is enough: all shares are of one size.
        progress=options.progress and not todo.share.index,
        say=lambda line: _say(options, line),
    )
    record.session |= executor.plan.describe()  # memory may have run out on the way
    record.session["seconds"] = round(time.monotonic() - started, 1)
    manifest = record.end(range(batch_count(folder, size)))
    if manifest["skipped"]:
        _say(options, f"left out {len(manifest['skipped'])} images, see run.json")
    if manifest["finished"] is None:
        _say(options, "this share is done; other processes have still to end theirs")


def _settings(
    backbone: Backbone,
    folder: ImageFolder,
    identity: dict[str, Any],
    masks: PackedMasks,
    options: SweepOptions,
) -> dict[str, Any]:
    """List what decides the rows: another value is another run."""
    count = len(folder.names)
    return {
        **network_settings(backbone),
        **identity,
        "masks_sha256": masks.sha256,
        "sparsities": [float(sparsity) for sparsity in masks.sparsities],
        "precision": options.precision,
        "images_sha256": folder.names_sha256,
        "identities_sha256": folder.identities_sha256,
        "image_count": count,
        "batch_size": options.batch_size and min(int(options.batch_size), count),
    }


def _executor(
    work: Work, batches: int, devices: list[Any], options: SweepOptions
) -> Executor:
    """Compile the program of this many batches for the devices."""
    _say(options, "compiling the sweep for this network …")
    pixels = work.backbone.preprocessing
    problem = prepare(
        work.backbone.apply_fn,
        work.backbone.params,
        work.masks,
        precision=options.precision,
        devices=devices,
        extras=work.extras,
    )
    return Executor(
        Planner(
            problem,
            (pixels.height, pixels.width, 3),
            batches * work.batch_size,
            dtype=image_type(options.precision),
            batch_size=work.batch_size,
            memory_limit=options.memory_limit,
            tune=options.tune,
            say=lambda line: _say(options, line),
        )
    )


def _precision_error(
    work: Work, batches: Sequence[int], executor: Executor, options: SweepOptions
) -> dict[str, Any] | None:
    """Measure it on the first batch that has an image; None if all are skipped."""
    with contextlib.closing(work.load(batches)) as loaded:
        every = (batch.images for batch in loaded)
        images = next((found for found in every if found is not None), None)
    if images is None:
        return None
    return precision_error(
        work.backbone.apply_fn, images, executor, memory_limit=options.memory_limit
    )


def _devices(count: int | None) -> list[Any]:
    found = jax.local_devices()
    if count is not None and not 1 <= count <= len(found):
        message = f"{count} devices asked for; this process has {len(found)}"
        raise InputError(message)
    return found[:count]


def _new_manifest(work: Work, settings: dict[str, Any]) -> dict[str, Any]:
    backbone, folder, masks = work.backbone, work.folder, work.masks
    total, layers = delta_norms(backbone.params, masks)
    return {
        "format": FORMAT,
        "settings": settings,
        "weights": provenance_record(backbone),
        "images": {
            "folder": None if folder.root == IN_MEMORY else str(folder.root.resolve()),
            "count": len(folder.names),
            "identities": folder.identity_count or None,
            "identity_source": folder.identity_source,
        },
        "masks": list(masks.names),
        "overlaps": overlaps(masks),
        "achieved_sparsity": list(masks.achieved),
        **total._asdict(),
        "layers": [
            {"name": name, "size": masks.sizes[name], "achieved_sparsity": list(layer)}
            | layers[name]._asdict()
            for name, layer in masks.layers.items()
        ],
        "labels": {table: list(each) for table, each in work.extras.labels.items()},
        "skipped": [],
        "sessions": [],
        "finished": None,
    }


def _say(options: SweepOptions, *lines: str) -> None:
    if options.progress:
        say(*lines)
