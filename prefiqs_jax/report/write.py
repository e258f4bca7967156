"""From a run to its report folder."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from prefiqs_jax import plots, results
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots.saving import render
from prefiqs_jax.report.figures import draw_figures
from prefiqs_jax.report.page import Picture, render_page
from prefiqs_jax.report.pictures import (
    StableFaces,
    choose_faces,
    find_folder,
    open_faces,
)
from prefiqs_jax.report.supplement import Supplement
from prefiqs_jax.report.tables import image_table, layer_table, progress_of
from prefiqs_jax.statistics import quantiles, summarise

FACES_SPARSITY = 0.4
"""The grid of faces is drawn at the run's sparsity nearest to this one."""

_SCREEN_PX_PER_INCH = 130


def write_report(
    run: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    replicates: int = 2000,
    seed: int = 0,
    progress: bool = False,
    supplement: Supplement | None = None,
) -> Path:
    """Write tables, figures and ``report.html`` into ``RUN/report``.

    Parameters
    ----------
    run
        Run folder, finished or not.
    images
        Folder of the pictures, if they are no longer where the run read them.
    replicates, seed
        Of the bootstrap intervals.
    progress
        Show the bootstrap's rate and time left on standard error.
    supplement
        What else this run has to tell.

    Returns
    -------
    pathlib.Path
        ``RUN/report/report.html``. Beside it: ``tables/*.csv`` and ``figures/*.png``
        and ``*.pdf``.

    Raises
    ------
    InputError
        If the folder is no run or has no rows, ``images`` is no folder, or a file that
        is not of an earlier report would be replaced.
    """
    manifest = results.read_manifest(run)
    folder = find_folder(manifest, Path(images) if images is not None else None)
    rows = results.read(run)
    if len(rows[["backbone", "mask"]].drop_duplicates()) > 1:
        message = f"{run} mixes networks or masks; give each its own run folder"
        raise InputError(message)

    bar = tqdm(
        total=replicates,
        unit="replicate",
        desc="bootstrap",
        disable=not progress,
        file=sys.stderr,
        dynamic_ncols=True,
    )
    with bar:
        statistics = summarise(
            rows, replicates=replicates, seed=seed, on_progress=bar.update
        )
    sparsity = _faces_sparsity(rows)
    tables = {
        "statistics": statistics,
        "quantiles": quantiles(rows),
        "images": image_table(rows),
        "layers": layer_table(manifest),
    }
    faces = StableFaces([], [], "No sparsity above zero: no face is more stable.")
    if sparsity is not None:
        tables["faces"] = choose_faces(rows, sparsity)
        faces = open_faces(tables["faces"], folder)
    if supplement is not None:
        tables |= supplement.tables

    files: dict[str, str | bytes] = {
        f"tables/{name}.csv": table.to_csv(index=False, float_format="%.9g")
        for name, table in tables.items()
    }
    pictures = []
    with plots.theme():
        drawings = [] if supplement is None else list(supplement.draw())
        drawings += draw_figures(
            tables["images"],
            statistics,
            tables["quantiles"],
            tables["layers"],
            faces,
            sparsity,
        )
        for drawing in drawings:
            png, pdf = render(drawing.figure)
            files[f"figures/{drawing.name}.png"] = png
            files[f"figures/{drawing.name}.pdf"] = pdf
            words = (drawing.title, drawing.caption, drawing.alt, drawing.tables)
            width_px = round(_SCREEN_PX_PER_INCH * drawing.figure.get_figwidth())
            pictures.append(Picture(drawing.name, *words, png, width_px))

    done, expected = progress_of(rows, manifest)
    grid_is_missing = all(d.name != "most_and_least_stable_faces" for d in drawings)
    files["report.html"] = render_page(
        manifest,
        statistics,
        pictures,
        images_done=done,
        images_expected=expected,
        replicates=replicates,
        seed=seed,
        notes=[faces.note] if grid_is_missing and faces.note else [],
        in_short=[] if supplement is None else supplement.lines(statistics),
    )
    out = Path(run) / "report"
    write_outputs(out, files)
    return out / "report.html"


def _faces_sparsity(rows: pd.DataFrame) -> float | None:
    levels = np.unique(rows["sparsity"].to_numpy(np.float64))
    levels = levels[levels > 0]
    if len(levels) == 0:
        return None
    return float(levels[np.argmin(np.abs(levels - FACES_SPARSITY))])
