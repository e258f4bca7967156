"""Run a sweep over a folder of faces: one pass over the images, safe to kill."""

import contextlib
import dataclasses
import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from prefiqs_jax.aliases import MaskFn, Prunable
from prefiqs_jax.backbones.backbone import Backbone
from prefiqs_jax.backbones.load import provenance_record
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    ImageFolder,
    LoadedBatch,
    batch_count,
    check_headers,
    describe_bad,
    load_batches,
)
from prefiqs_jax.masks.named import NamedMask, as_named
from prefiqs_jax.masks.packed import PackedMasks, pack_masks
from prefiqs_jax.results.provenance import now, session_record
from prefiqs_jax.results.run_folder import (
    finished_parts,
    open_run,
    write_manifest,
    write_part,
)
from prefiqs_jax.sensitivity import Agreement
from prefiqs_jax.sweep.engine import PRECISION, SweepProblem, measure, pose
from prefiqs_jax.sweep.planner import Plan, plan_sweep
from prefiqs_jax.sweep.rows import as_columns, check_norms
from prefiqs_jax.trees import is_prunable

RUN_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """How a sweep runs; none of these changes what is measured.

    Attributes
    ----------
    batch_size
        Images in a batch; None = chosen from the memory limit. A run keeps its first.
    memory_limit
        Bytes; None = found out.
    on_bad_image
        ``"fail"`` stops at a picture that cannot be used, ``"skip"`` leaves it out.
    command
        Words of the command line, for run.json.
    progress
        Show a bar with rate and time left on standard error.
    beside
        Names of files and folders that a new run may find in its folder.
    """

    batch_size: int | None = None
    memory_limit: int | None = None
    on_bad_image: Literal["fail", "skip"] = "fail"
    command: list[str] | None = None
    progress: bool = True
    beside: frozenset[str] = frozenset()


def sweep(
    backbone: Backbone,
    folder: ImageFolder,
    mask: NamedMask | MaskFn,
    sparsities: Sequence[float],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    prunable: Prunable = is_prunable,
    prunable_pattern: str | None = None,
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
        Aligned faces of the size the network expects.
    mask
        From :func:`prefiqs_jax.masks.mask_named`, or any mask function; a run cannot
        tell two functions of one name apart, but files of :func:`mask_named` it can.
    sparsities
        Each in [0, 1), no two alike.
    out
        Folder of the run; new, empty, or a run with the same settings.
    seed
        Key of random scores, for run.json.
    prunable, prunable_pattern
        Which leaves may be pruned, and how the user said so.
    options
        How to run.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        If a sparsity, picture or setting cannot be used, an embedding is zero or not
        finite, or a file cannot be written. Finished parts are kept.
    """
    options = options or SweepOptions()
    mask = as_named(mask)
    started = time.monotonic()
    sparsities = sorted(sparsities)
    _check_sparsities(sparsities)
    pixels = backbone.preprocessing
    settings: dict[str, Any] = {
        "backbone": backbone.name,
        "weights_sha256": backbone.provenance.sha256,
        "pixels": pixels.describe(),
        "mask": mask.name,
        "mask_file_sha256": mask.source_sha256,
        "sparsities": sparsities,
        "prunable": prunable_pattern or "weights with two or more axes",
        "seed": seed,
        "images_sha256": folder.names_sha256,
        "image_count": len(folder.names),
        "batch_size": options.batch_size,
    }
    manifest = open_run(out, settings, beside=options.beside)
    if manifest is not None:
        settings = manifest["settings"]
        if manifest["finished"] is not None and finished_parts(out) >= set(
            range(batch_count(folder, settings["batch_size"]))
        ):
            _say(options, f"{out} is complete already")
            return Path(out)
    if options.on_bad_image == "fail" and (
        bad := check_headers(folder, pixels.height, pixels.width, backbone.name)
    ):
        raise InputError(describe_bad(bad))
    _say(options, *folder.notes)

    masks = pack_masks(mask.mask_fn, backbone.params, sparsities, prunable)
    _say(options, "compiling the sweep for this network …")
    problem = pose(backbone.apply_fn, backbone.params, masks)
    plan = plan_sweep(
        problem,
        (pixels.height, pixels.width, 3),
        image_count=len(folder.names),
        batch_size=settings["batch_size"],
        memory_limit=options.memory_limit,
    )
    manifest = manifest or _new_manifest(backbone, folder, settings, masks)
    manifest["settings"]["batch_size"] = plan.batch_size
    manifest["sessions"].append(
        session_record(options.command, PRECISION)
        | {
            "tangent_chunk": plan.tangent_chunk,
            "memory_limit_bytes": plan.memory_limit_bytes,
            "predicted_peak_bytes": plan.predicted_bytes,
        }
    )
    write_manifest(out, manifest)

    _measure_batches(
        backbone, folder, mask.name, masks, problem, plan, out, manifest, options
    )
    manifest["finished"] = now()
    manifest["sessions"][-1]["seconds"] = round(time.monotonic() - started, 1)
    write_manifest(out, manifest)
    if manifest["skipped"]:
        _say(options, f"left out {len(manifest['skipped'])} pictures, see run.json")
    return Path(out)


def _measure_batches(
    backbone: Backbone,
    folder: ImageFolder,
    mask: str,
    masks: PackedMasks,
    problem: SweepProblem,
    plan: Plan,
    out: str | os.PathLike[str],
    manifest: dict[str, Any],
    options: SweepOptions,
) -> None:
    """Measure every batch that has no part yet, and write its part."""
    pixels = backbone.preprocessing
    done = finished_parts(out)
    todo = [i for i in range(batch_count(folder, plan.batch_size)) if i not in done]
    bar = tqdm(
        total=len(folder.names),
        initial=min(len(done) * plan.batch_size, len(folder.names)),
        unit="image",
        disable=not options.progress,
        file=sys.stderr,
        dynamic_ncols=True,
    )
    batches = load_batches(
        folder,
        height=pixels.height,
        width=pixels.width,
        batch_size=plan.batch_size,
        needed_by=backbone.name,
        on_bad_image=options.on_bad_image,
        batches=todo,
    )
    told: set[str] = set()
    with bar, contextlib.closing(batches):
        for batch in batches:
            rows = _rows(backbone, batch, mask, masks, problem, plan)
            if batch.skipped:
                known = {entry["image"] for entry in manifest["skipped"]}
                manifest["skipped"] += [
                    {"image": name, "reason": reason}
                    for name, reason in batch.skipped
                    if name not in known  # as after a kill between here and the part
                ]
                write_manifest(out, manifest)
            write_part(out, batch.index, rows)
            for conversion, names in batch.conversions.items():
                if conversion not in told:
                    told.add(conversion)
                    _say(options, f"note: {conversion} (first: {names[0]})")
            bar.update(len(batch.names) + len(batch.skipped))


def _rows(
    backbone: Backbone,
    batch: LoadedBatch,
    mask: str,
    masks: PackedMasks,
    problem: SweepProblem,
    plan: Plan,
) -> dict[str, Any]:
    """Measure a batch; one in which every picture was skipped has no rows."""
    compared = Agreement(*[np.zeros((len(masks.sparsities), 0))] * 4)
    if batch.names:
        images = backbone.preprocess(batch.pixels)
        measured = measure(plan.compiled, problem, images, plan.batch_size)
        check_norms(
            batch.names, masks.sparsities, measured.dense_norm, measured.pruned_norm
        )
        compared = measured.compared
    return as_columns(
        backbone.name, mask, batch.names, batch.identities, masks, compared
    )


def _check_sparsities(sparsities: Sequence[float]) -> None:
    if not sparsities:
        message = "no sparsities given; give some in [0, 1), such as 0.1,0.4"
        raise InputError(message)
    for one, other in itertools.pairwise(sparsities):
        if one == other:
            message = f"sparsity {one:g} is given twice"
            raise InputError(message)


def _new_manifest(
    backbone: Backbone,
    folder: ImageFolder,
    settings: dict[str, Any],
    masks: PackedMasks,
) -> dict[str, Any]:
    return {
        "format": RUN_FORMAT,
        "settings": settings,
        "weights": provenance_record(backbone),
        "images": {
            "folder": str(folder.root.resolve()),
            "count": len(folder.names),
            "identities": folder.identity_count or None,
            "identity_source": folder.identity_source,
        },
        "achieved_sparsity": list(masks.achieved),
        "layers": [
            {"name": name, "size": masks.sizes[name], "achieved_sparsity": list(layer)}
            for name, layer in masks.layers.items()
        ],
        "skipped": [],
        "sessions": [],
        "finished": None,
    }


def _say(options: SweepOptions, *lines: str) -> None:
    if options.progress:
        for line in lines:
            tqdm.write(line, file=sys.stderr)
