"""The whole demo: images, sweep, errors, report."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prefiqs_jax import masks, results
from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.demo import figures
from prefiqs_jax.demo.benchmark import (
    IMAGES,
    MARKER,
    open_benchmark,
    read_plan,
    read_settings,
)
from prefiqs_jax.demo.evaluation import (
    DemoEmbedder,
    curve_table,
    discard_curves,
    verify,
)
from prefiqs_jax.demo.settings import (
    MOST_FACES,
    QUALITY_SPARSITY,
    SPARSITIES,
    DemoSettings,
)
from prefiqs_jax.demo.severities import measure_levels, summarise_levels
from prefiqs_jax.demo.summary import summary
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import load_batches, read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.plots import Drawing
from prefiqs_jax.report import Supplement, write_report
from prefiqs_jax.statistics import summarise
from prefiqs_jax.sweep import SweepOptions, sweep
from prefiqs_jax.trees import weight_count

if TYPE_CHECKING:
    import pandas as pd

BACKBONE = "demo"
MASK = "global/magnitude"
REPLICATES = 1000
"""Bootstrap replicates of the discard curves."""


class DemoReport(NamedTuple):
    """What a demo ends with."""

    lines: list[str]
    """The summary."""
    page: Path
    """``OUT/report/report.html``."""


def is_demo(out: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds a demo."""
    return (Path(out) / MARKER).exists()


def demo(
    out: str | os.PathLike[str],
    settings: DemoSettings | None = None,
    *,
    command: list[str] | None = None,
    progress: bool = True,
) -> DemoReport:
    """Run the experiment on synthetic faces, by the embedded network.

    Renders people, degrades images to known severity, sweeps nine sparsities, and
    asks whether the quality predicts verification errors. The same settings give the
    same rows; a demo that was killed goes on where it stopped.

    Parameters
    ----------
    out
        Folder: new, empty, or a demo of the same settings. It becomes a run that
        :func:`prefiqs_jax.results.read` reads, with ``images`` and ``report`` in it.
    settings
        What the images are.
    command
        Words of the command line, for run.json.
    progress
        Show progress on standard error.

    Returns
    -------
    DemoReport
        Summary and page.

    Raises
    ------
    InputError
        If the folder holds something else or cannot be written.
    """
    out, settings = Path(out), settings or DemoSettings()
    folder = open_benchmark(settings, out)
    sweep(
        load_backbone(BACKBONE),
        folder,
        mask_named(MASK, seed=settings.seed),
        SPARSITIES,
        out,
        options=SweepOptions(
            command=command, progress=progress, beside=frozenset({MARKER, IMAGES})
        ),
    )
    return report_demo(out, progress=progress)


def report_demo(
    out: str | os.PathLike[str],
    *,
    strata: Sequence[str] | None = None,
    progress: bool = True,
) -> DemoReport:
    """Evaluate a finished demo and write its report.

    Parameters
    ----------
    out
        Folder of the demo.
    strata
        As of :func:`prefiqs_jax.report.write_report`.
    progress
        Show progress on standard error.

    Returns
    -------
    DemoReport
        Summary and page.

    Raises
    ------
    InputError
        If the folder holds no finished demo.
    """
    out = Path(out)
    settings = read_settings(out)
    rows = results.read(out)
    planned = read_plan(out)
    folder = read_folder(out / IMAGES)
    if len(rows) != len(planned) * len(SPARSITIES):
        message = f"{out} is not finished; run prefiqs demo --out {out} to go on"
        raise InputError(message)

    backbone = load_backbone(BACKBONE)
    mask = masks.globally(masks.magnitude)(backbone.params, QUALITY_SPARSITY)
    pruned = masks.apply_mask(backbone.params, mask)
    embedder = DemoEmbedder(backbone, pruned, progress=progress)
    size = backbone.preprocessing
    (loaded,) = load_batches(
        folder,
        height=size.height,
        width=size.width,
        batch_size=len(folder.names),
        needed_by=backbone.name,
    )
    pixels = loaded.pixels
    embeddings = embedder.dense(pixels)
    ordered = planned.set_index("image").loc[list(folder.names)].reset_index()
    chosen = rows.loc[rows["sparsity"] == QUALITY_SPARSITY].set_index("image")
    measured = chosen.loc[list(folder.names)]
    bands = discard_curves(embeddings, ordered, measured, replicates=REPLICATES, seed=0)
    verification = verify(embeddings, ordered)
    is_clean = (ordered["severity"] == 0).to_numpy(np.bool_)
    firsts = np.flatnonzero(is_clean & ~ordered["identity"].duplicated().to_numpy())
    faces = pixels[firsts[:MOST_FACES]]
    severities = tuple(settings.severities)
    of_faces = measure_levels(faces, severities, embedder.drift, seed=settings.seed)
    levels = summarise_levels(of_faces)
    clean_rows = rows.loc[rows["image"].isin(ordered["image"][is_clean])]
    within_clean = summarise(clean_rows)

    told: list[str] = []

    def lines(statistics: "pd.DataFrame") -> list[str]:
        weights = weight_count(backbone.params)
        told[:] = summary(
            network=f"{backbone.name}, {weights / 1e6:.2f} million weights",
            statistics=statistics,
            within_clean=within_clean,
            verification=verification,
            levels=levels,
            bands=bands,
        )
        return told

    def draw() -> list[Drawing]:
        return [
            figures.face_sheet(pixels, ordered),
            figures.degradation_sheet(faces[0], severities, settings.seed),
            figures.severity_curves(levels),
            figures.discard(bands),
        ]

    tables = {
        "pictures": ordered,
        "verification": verification,
        "edc": curve_table(bands),
        "ladder": levels,
        "ladder_faces": of_faces,
        "statistics_clean": within_clean,
    }
    page = write_report(
        out,
        images=out / IMAGES,
        strata=strata,
        progress=progress,
        supplement=Supplement(lines, tables, draw),
    )
    return DemoReport(told, page)
