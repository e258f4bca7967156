"""From masks, a network and images to a run with its comparison beside the rows."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prefiqs_jax import plots, results
from prefiqs_jax.backbones import Backbone
from prefiqs_jax.comparison.areas import mask_areas
from prefiqs_jax.comparison.figures import draw_figures
from prefiqs_jax.comparison.page import comparison_page
from prefiqs_jax.comparison.tables import (
    delta_norms_of,
    layer_table,
    overlap_table,
    worst_faces,
)
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.images import ImageFolder, load_batches
from prefiqs_jax.masks import AnyMask
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots import MissedFace
from prefiqs_jax.report.faces import open_image
from prefiqs_jax.report.page import page_files
from prefiqs_jax.report.rounded import rounding_of, setting_of
from prefiqs_jax.statistics import compare_masks
from prefiqs_jax.sweep import SweepOptions, sweep
from prefiqs_jax.terminal import progress_bar

FOLDER, PAGE = "comparison", "comparison.html"
"""Folder beside the rows, and the page in it."""
FLOAT_FORMAT = "%.9g"
_BATCH = 32


def compare(
    backbone: Backbone,
    folder: ImageFolder,
    masks: Sequence[AnyMask],
    sparsities: Sequence[float],
    out: str | os.PathLike[str],
    *,
    reference: str | None = None,
    options: SweepOptions | None = None,
) -> Path:
    """Measure masks on the same images, and compare them.

    The rows are those of an ordinary run (see :func:`prefiqs_jax.sweep.sweep`): all
    masks share one dense pass over each batch, and a comparison that was killed is
    continued by the same call. One more dense pass gives the embeddings for pAUC where
    identities are known.

    Parameters
    ----------
    backbone, folder
        Trained network, and aligned faces of the size that it expects.
    masks
        Two or more; each has its own sparsities or those given here.
    sparsities
        Each in [0, 1). One that a mask cannot reach, such as 2:4 any but 0.5, is left
        out for that mask, said so, and recorded.
    out
        Folder of the run.
    reference
        Mask that the others are compared to; None = the first.
    options
        How to run.

    Returns
    -------
    pathlib.Path
        ``OUT/comparison/comparison.html``. Beside it: ``tables/*.csv`` and
        ``figures/*.png`` and ``*.pdf``.

    Raises
    ------
    InputError
        If there are fewer than two masks, no such reference, a mask reaches none of its
        sparsities; and as :func:`prefiqs_jax.sweep.sweep` and
        :func:`prefiqs_jax.outputs.write_outputs` do.
    """
    options = dataclasses.replace(options or SweepOptions(), on_unreachable="skip")
    named = [as_named(mask) for mask in masks]
    names = [mask.name for mask in named]
    if len(names) < 2:
        message = (
            f"a comparison takes two masks or more, and here is {len(names)}"
            f"{''.join(f': {name}' for name in names)}; give others beside it, or "
            "sweep it alone with prefiqs sweep"
        )
        raise InputError(message)
    reference = names[0] if reference is None else reference
    if reference not in names:
        message = f"reference {reference} is none of the masks: {', '.join(names)}"
        raise InputError(message)
    sweep(backbone, folder, named, sparsities, out, options=options)
    needy = [mask.name for mask in named if mask.needs_data]
    return _write(backbone, folder, Path(out), reference, needy, options)


def _write(
    backbone: Backbone,
    folder: ImageFolder,
    out: Path,
    reference: str,
    needy: Sequence[str],
    options: SweepOptions,
) -> Path:
    """Compare the rows of a run, and write tables, figures and page."""
    manifest = results.read_manifest(out)
    rows = results.with_image_columns(results.read(out), folder.root)
    rounding = rounding_of(manifest)
    bar = progress_bar(
        len(manifest["masks"]),
        "mask and sparsity",
        what="statistics",
        progress=options.progress,
    )
    with bar:
        found = compare_masks(
            rows,
            reference=reference,
            delta_norms=delta_norms_of(manifest),
            rounding=rounding,
            on_progress=bar.update,
        )
    needs_embeddings = np.all(rows["identity"].notna())
    embeddings: Mapping[str, NDArray] = {}
    if needs_embeddings:
        embeddings = _embed(backbone, folder, set(rows["image"]), options)
    areas = mask_areas(rows, embeddings, reference=reference, rounding=rounding)
    own = areas.table[["mask", "sparsity", "pauc", "pauc_low", "pauc_high"]]
    tables = {
        "ranked": found.ranked,
        "masks": found.masks.merge(own, how="left", on=["mask", "sparsity"]),
        "differences": found.differences,
        "matched": found.matched,
        "separation": found.separation,
        "areas": areas.table,
        "layers": layer_table(manifest),
        "overlap": overlap_table(manifest),
        "worst": worst_faces(rows, found.masks, reference, rounding),
    }
    skipped = len(manifest.get("skipped") or [])
    page = comparison_page(
        manifest,
        tables,
        reference,
        images_expected=len(folder.names) - skipped,
        notes=[
            *found.notes,
            *([areas.note + "."] if areas.note else []),
            *_in_sample(manifest, needy),
        ],
    )
    with plots.theme():
        drawings = draw_figures(tables, _faces(tables["worst"], folder), areas.note)
        files = page_files(
            PAGE,
            page,
            tables,
            drawings,
            float_format=FLOAT_FORMAT,
            progress=options.progress,
        )
    write_outputs(out / FOLDER, files, all_of_it=True)
    return out / FOLDER / PAGE


def _in_sample(manifest: Mapping[str, Any], needy: Sequence[str]) -> list[str]:
    """Say which masks were made from the very images that they are judged on."""
    calibration = setting_of(dict(manifest), "calibration")
    if not calibration or calibration["source"] == "given":
        return []
    return [
        f"In-sample: {', '.join(needy)} were calibrated on {calibration['images']} of "
        "the images compared, which flatters them; give others by --calibration."
    ]


def _embed(
    backbone: Backbone, folder: ImageFolder, names: set[str], options: SweepOptions
) -> dict[str, NDArray[np.float64]]:
    """Compute the dense embeddings of the images that have rows."""
    places = [place for place, name in enumerate(folder.names) if name in names]
    pixels = backbone.preprocessing
    size = min(_BATCH, len(places))
    batches = load_batches(
        folder.take(places),
        height=pixels.height,
        width=pixels.width,
        batch_size=size,
        needed_by=backbone.name,
        on_bad_image=options.on_bad_image,
        transform=backbone.preprocess,
    )
    embed = Embedder(backbone.apply_fn, size, options.precision)
    found: dict[str, NDArray[np.float64]] = {}
    bar = progress_bar(len(places), what="embeddings", progress=options.progress)
    with contextlib.closing(batches), bar:
        for batch in batches:
            if batch.images is not None:
                raw = embed(backbone.params, batch.images, on_progress=bar.update)
                found |= dict(zip(batch.names, raw, strict=True))
    return found


def _faces(worst: pd.DataFrame, folder: ImageFolder) -> dict[str, list[MissedFace]]:
    """Open the images of the worst-predicted faces, as far as they can be."""
    found: dict[str, list[MissedFace]] = {}
    for line in worst.to_dict("records"):
        heading = f"{line['mask']}, sparsity {line['sparsity']:g}"
        pixels = open_image(folder.store, folder.root, line["image"])
        if pixels is None:
            continue
        # A copy's name says behind the file's what was done to it.
        file, tilde, what = line["image"].partition("~")
        face = MissedFace(
            pixels,
            f"{PurePosixPath(file).stem}{tilde}{what}",
            line["relative_residual"],
            line["drift"],
        )
        found.setdefault(heading, []).append(face)
    return found
