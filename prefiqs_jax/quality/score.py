"""Score a folder of faces by PreFIQs, two forwards an image."""

import contextlib
import csv
import io
import os
from pathlib import Path
from typing import Literal

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import keep_programs
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.files import check_out, write_text
from prefiqs_jax.images import (
    ImageFolder,
    ImageSource,
    LoadedBatch,
    as_folder,
    load_batches,
    refuse_bad,
)
from prefiqs_jax.images.folder import IDENTITY_TABLE
from prefiqs_jax.masks import AnyMask
from prefiqs_jax.quality.make import DEFAULT_SPARSITY, SCORED, make_scorers
from prefiqs_jax.quality.scorer import score_images
from prefiqs_jax.quality.shared import PREFIQS
from prefiqs_jax.results.inventory import INVENTORY
from prefiqs_jax.results.parts import PART
from prefiqs_jax.results.run_folder import MANIFEST
from prefiqs_jax.statistics import NOTHING_CHANGES, ROUNDING_AT
from prefiqs_jax.sweep.planner import default_batch_size
from prefiqs_jax.terminal import STDOUT, emit, progress_bar, say
from prefiqs_jax.types import Params


def score(
    backbone: Backbone,
    folder: ImageSource,
    mask: AnyMask,
    out: str | os.PathLike[str],
    *,
    sparsity: float = DEFAULT_SPARSITY,
    layout: Literal["csv", "path-score"] = "csv",
    batch_size: int | None = None,
    precision: Precision = DEFAULT_PRECISION,
    on_bad_image: Literal["fail", "skip"] = "fail",
    calibration: ImageSource | None = None,
    earlier: Params | None = None,
    progress: bool = True,
) -> int:
    """Write the PreFIQs quality of every image.

    Parameters
    ----------
    backbone, folder, mask
        As in :func:`prefiqs_jax.sweep.sweep`.
    out
        File to write, in one step, when all is done; ``-`` for standard output.
    sparsity
        Fraction of the prunable weights to drop, in [0, 1).
    layout
        ``"csv"``: columns ``image,quality,drift``. ``"path-score"``: one line
        ``PATH QUALITY`` an image, as CR-FIQA and GraFIQs write, PATH including the
        folder.
    batch_size
        Images in a batch; None = 32 on a CPU, 128 elsewhere.
    precision
        Precision of matmuls and convolutions, see
        :mod:`prefiqs_jax.execution.precision`.
    on_bad_image
        ``"fail"`` or ``"skip"``.
    calibration
        Images for a mask that needs data, in any form that ``folder`` may have; None =
        those that are scored. Of more than 256, 256 are taken, evenly spread.
    earlier
        Weights of an earlier checkpoint of the network, for movement.
    progress
        Show a bar on standard error.

    Returns
    -------
    int
        Number of images scored.

    Raises
    ------
    InputError
        If the sparsity or an image cannot be used, an embedding is zero or not finite,
        or the file cannot be written.
    """
    keep_programs()
    folder = as_folder(folder, identities_matter=False)
    if out != STDOUT:
        check_out(out)
        _check_out(folder, out)
    pixels = backbone.preprocessing
    if on_bad_image == "fail":
        refuse_bad(
            folder, pixels.height, pixels.width, backbone.name, progress=progress
        )
    count = len(folder.names)
    size = min(batch_size or default_batch_size(count), count)
    given = folder
    if calibration is not None:
        given = as_folder(calibration, identities_matter=False)
    scorers = make_scorers(
        backbone,
        [PREFIQS],
        batch_size=size,
        sparsities=[sparsity],
        mask=mask,
        precision=precision,
        calibration=given,
        calibration_source=SCORED if calibration is None else "given",
        earlier=earlier,
        on_bad_image=on_bad_image,
    )
    names: list[str] = []
    found: list[float] = []
    batches = load_batches(
        folder,
        height=pixels.height,
        width=pixels.width,
        batch_size=size,
        needed_by=backbone.name,
        on_bad_image=on_bad_image,
        transform=backbone.preprocess,
    )

    def quality_of(batch: LoadedBatch) -> list[float]:
        if batch.images is None:
            return []
        (quality,) = score_images(scorers, batch.names, batch.images).values()
        return quality.tolist()

    said: set[str] = set()
    bar = progress_bar(count, progress=progress)
    with bar, contextlib.closing(batches):
        for each in batches:
            batch, quality = each.each_with(quality_of, on_bad_image)
            found += quality
            names += batch.names
            for conversion, those in batch.conversions.items():
                if progress and conversion not in said:
                    said.add(conversion)
                    say(f"note: {conversion} (first: {those[0]})")
            for name, reason in batch.skipped:
                say(f"left out {name}: {reason}")
            bar.update(len(batch.names) + len(batch.skipped))
    if found and 2 * (1 - min(found)) <= ROUNDING_AT[precision]:
        say(f"note: {NOTHING_CHANGES}")
    text = _text(folder, names, found, layout)
    if out == STDOUT:
        emit(text)
    else:
        write_text(out, text)
    return len(names)


def _check_out(folder: ImageFolder, out: str | os.PathLike[str]) -> None:
    """Refuse to replace an input, or a part of a run, by the scores."""
    target = Path(os.path.realpath(out))
    sources = (folder.store.source(folder.root, name) for name in folder.names)
    inputs = [folder.root / IDENTITY_TABLE, *(path for path in sources if path)]
    if target.exists() and (
        target in {Path(os.path.realpath(path)) for path in inputs}
        or PART.fullmatch(target.name)
        or target.name in (MANIFEST, INVENTORY)
    ):
        message = f"{out} is no file of scores; give another --out"
        raise InputError(message)


def _text(
    folder: ImageFolder, names: list[str], qualities: list[float], layout: str
) -> str:
    rows = zip(names, qualities, strict=True)
    if layout == "path-score":
        return "".join(f"{folder.root / name} {quality!r}\n" for name, quality in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "quality", "drift"])
    writer.writerows((name, quality, 2 * (1 - quality)) for name, quality in rows)
    return text.getvalue()
