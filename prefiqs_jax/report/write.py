"""From a run to its report folder."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prefiqs_jax import plots, results
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import Inventory
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots import Drawing
from prefiqs_jax.report.faces import (
    Opened,
    choose_faces,
    choose_worst,
    degraded_copies,
    find_folder,
    missed_faces,
    open_faces,
    stable_faces,
)
from prefiqs_jax.report.figures import ON_SCREEN, draw_faces, draw_figures, draw_worst
from prefiqs_jax.report.on_request import draw_on_request, kinds_of, request_tables
from prefiqs_jax.report.page import page_files
from prefiqs_jax.report.rounded import rounding_of
from prefiqs_jax.report.tables import progress_of, run_tables
from prefiqs_jax.report.values import change_of, run_page
from prefiqs_jax.results.inventory import read_inventory
from prefiqs_jax.statistics import contribution_shares, within_strata
from prefiqs_jax.statistics.strata import strata_of
from prefiqs_jax.terminal import progress_bar

PAGE = "report.html"
FLOAT_FORMAT = "%.9g"
"""How the tables of a run write numbers."""
FACES_SPARSITY = 0.4
"""The grid of faces is drawn at the run's sparsity nearest to this one."""

_DEFAULT_STRATA = ("severity", "degradation")


@dataclasses.dataclass(frozen=True)
class Supplement:
    """What a run has to tell beyond its rows.

    Attributes
    ----------
    lines
        Sentences at the head of the page, given the table of statistics.
    tables
        Written beside the others, by name.
    draw
        Draws figures that come before the others; called inside ``plots.theme()``.
    """

    lines: Callable[[pd.DataFrame], Sequence[str]]
    tables: Mapping[str, pd.DataFrame]
    draw: Callable[[], Sequence[Drawing]]


def write_report(
    run: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    strata: Sequence[str] | None = None,
    progress: bool = False,
    supplement: Supplement | None = None,
) -> Path:
    """Write tables, figures and ``report.html`` into ``RUN/report``.

    Parameters
    ----------
    run
        Run folder, finished or not.
    images
        Folder of the images, if they are no longer where the run read them.
    strata
        Columns to look within, see :func:`prefiqs_jax.statistics.within_strata`: of
        the rows, or of ``images.csv`` in the folder of the images. None = severity or
        degradation, where one is known.
    progress
        Show rate and time left on standard error.
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
        If the folder is no run or has no rows, ``images`` is no folder, there is no
        such column, or a file that is not of an earlier report would be replaced.
    """
    manifest = results.read_manifest(run)
    if len(set(manifest.get("masks") or [])) > 1:
        message = (
            f"{run} compares several masks; its page is "
            f"{Path(run) / 'comparison' / 'comparison.html'}, which the same prefiqs "
            "compare-masks writes"
        )
        raise InputError(message)
    folder = find_folder(manifest, Path(images) if images is not None else None)
    rows = results.read(run)
    if len(rows[["backbone", "mask"]].drop_duplicates()) > 1:
        message = f"{run} mixes networks or masks; give each its own run folder"
        raise InputError(message)
    files = report_files(
        rows,
        manifest,
        folder,
        strata=strata,
        progress=progress,
        supplement=supplement,
        measured=read_inventory(run),
        measured_on_request={
            name: results.read(run, name) for name in manifest.get("labels") or ()
        },
    )
    out = Path(run) / "report"
    write_outputs(out, files, all_of_it=True)
    return out / PAGE


def report_files(
    rows: pd.DataFrame,
    manifest: dict[str, Any],
    folder: Path | None,
    *,
    strata: Sequence[str] | None = None,
    progress: bool = False,
    supplement: Supplement | None = None,
    measured: Inventory | None = None,
    measured_on_request: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, str | bytes]:
    """Make the files of a report of rows of one network and mask.

    Parameters
    ----------
    rows, manifest
        The rows, and what ``run.json`` says of them, or would say.
    folder
        Folder of the images; None if it is not at hand.
    strata, progress, supplement
        As in :func:`write_report`.
    measured
        What the images' files held when they were measured; None if unknown.
    measured_on_request
        Tables kinks, layers and controls, as far as the run has them.

    Returns
    -------
    dict
        Content of each file by its name below the report's folder.

    Raises
    ------
    InputError
        If there is no such column.
    """
    known = results.with_image_columns(rows, folder)
    if strata is None:
        strata = [name for name in _DEFAULT_STRATA if name in known][:1]
    rounding = rounding_of(manifest)
    parts = [part for name in strata for _, part in strata_of(known, name, rounding)]
    count = sum(len(set(part["sparsity"])) for part in (known, *parts))
    del parts
    bar = progress_bar(count, "sparsity", what="statistics", progress=progress)
    with bar:
        tables = run_tables(rows, known, manifest, bar.update, strata)
        within = within_strata(known, strata, rounding=rounding, on_progress=bar.update)
    if len(within):
        tables["strata"] = within
    on_request = measured_on_request or {}
    change = change_of(manifest)
    of_mask = tables if change is None else None
    asked = request_tables(known, on_request, of_mask, rounding)
    contributions = on_request.get("layers")
    depth = [] if contributions is None else list(contributions["layer"].unique())
    sparsity = _faces_sparsity(tables["images"])
    kinds = kinds_of(known)
    faces = Opened({}, "No image moved above rounding: no face to show.")
    if sparsity is not None:
        tables["faces"] = choose_faces(rows, sparsity)
        tables["worst_faces"] = choose_worst(tables["images"], sparsity, kinds)
        shown = [*tables["faces"]["image"], *tables["worst_faces"]["image"]]
        copies = degraded_copies(rows, folder, manifest)
        faces = open_faces(shown, folder, copies, measured)
        if folder is None and not (manifest.get("images") or {}).get("folder"):
            note = "The images were in memory, or in no folder that is known here."
            faces = Opened({}, note)
    done, expected = progress_of(rows, manifest)
    page = run_page(
        manifest,
        tables | asked,
        images_done=done,
        images_expected=expected,
        notes=[faces.note] if faces.note and not faces.pixels else [],
        in_short=supplement.lines(tables["statistics"]) if supplement else [],
    )
    with plots.theme():
        drawings = [
            *(supplement.draw() if supplement else ()),
            *draw_figures(tables, change=change, kinds=kinds, depth=depth),
        ]
        if sparsity is not None and faces.pixels:
            stable = stable_faces(tables["faces"], faces)
            where = f"sparsity {sparsity:g}" if change is None else change
            worst = missed_faces(tables["worst_faces"], faces, where)
            if any(stable.values()):
                drawings.append(draw_faces(stable, faces.note, sparsity, change))
            drawings += [draw_worst(worst)] if worst else []
        tables |= asked
        if contributions is not None and sparsity is not None:
            shares = contribution_shares(contributions, sparsity)
            tables["image_shares"] = shares.T.rename_axis("image").reset_index()
        if sparsity is not None:
            drawings += draw_on_request(
                tables, contributions, kinds, sparsity, ON_SCREEN
            )
        tables |= supplement.tables if supplement else {}
        return page_files(
            PAGE,
            page,
            tables,
            drawings,
            float_format=FLOAT_FORMAT,
            progress=progress,
        )


def _faces_sparsity(rows: pd.DataFrame) -> float | None:
    moved = rows.loc[~rows["below_rounding"]]
    levels = np.unique(moved["sparsity"].to_numpy(np.float64))
    if len(levels) == 0:
        return None
    return float(levels[np.argmin(np.abs(levels - FACES_SPARSITY))])
