"""A report of rows in memory: the tables, figures and page of a run without one."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.execution.precision import (
    DEFAULT_PRECISION,
    SWEEP_PRECISIONS,
    Precision,
)
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.report.faces import find_folder
from prefiqs_jax.report.on_request import unfold_rows
from prefiqs_jax.report.write import PAGE, report_files
from prefiqs_jax.results import COLUMNS


def write_rows_report(
    rows: pd.DataFrame,
    out: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    strata: Sequence[str] | None = None,
    precision: Precision = DEFAULT_PRECISION,
    is_change: bool = False,
    progress: bool = False,
) -> Path:
    """Write tables, figures and ``report.html`` of rows in memory.

    Parameters
    ----------
    rows
        Rows of one network and mask, as :func:`prefiqs_jax.sweep_arrays` and
        :func:`prefiqs_jax.results.read` give them; further columns may be strata.
    out
        Folder for them: new, empty, or of an earlier report.
    images
        Folder of the images, whose names are those of the rows, to show faces.
    strata
        As in :func:`prefiqs_jax.report.write_report`.
    precision
        In which the rows were measured: it says what is rounding.
    is_change
        Whether the rows are of a change of the weights that is no mask.
    progress
        Show rate and time left on standard error.

    Returns
    -------
    pathlib.Path
        ``OUT/report.html``.

    Raises
    ------
    InputError
        If there are no rows, a column is missing, they are of several masks or
        networks, or a file that is not of an earlier report would be replaced.
    """
    check_choice("precision", precision, SWEEP_PRECISIONS)
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        message = (
            f"the rows have no column {', '.join(missing)}; give what sweep_arrays or "
            "results.read gives"
        )
        raise InputError(message)
    if not len(rows):
        message = "there are no rows; measure images first"
        raise InputError(message)
    masks = rows["mask"].unique().tolist()
    if len(masks) > 1:
        message = (
            f"the rows are of {len(masks)} masks ({', '.join(masks[:4])}); give those "
            "of one, or compare them with prefiqs compare-masks"
        )
        raise InputError(message)
    networks = rows["backbone"].unique().tolist()
    if len(networks) > 1:
        message = f"the rows are of {len(networks)} networks; give those of one"
        raise InputError(message)
    manifest = {
        "settings": {
            "backbone": networks[0],
            "mask": masks[0],
            "is_change": is_change,
            "sparsities": sorted(rows["sparsity"].unique().tolist()),
            "precision": precision,
        }
    }
    folder = find_folder({}, None if images is None else Path(images))
    files = report_files(
        rows,
        manifest,
        folder,
        strata=strata,
        progress=progress,
        measured_on_request=unfold_rows(rows),
    )
    write_outputs(out, files, all_of_it=True)
    return Path(out) / PAGE
