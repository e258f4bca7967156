"""Figures of a demo: its faces, its degradations, its errors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.demo.settings import QUALITY_SPARSITY
from prefiqs_jax.demo.summary import few_people
from prefiqs_jax.fiqa import EDCBand
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.plots import Drawing
from prefiqs_jax.plots.alt import ends_of_each

if TYPE_CHECKING:
    import pandas as pd

_SHEET_PEOPLE = 6
_MOST_DISCARDED = 0.6


def face_sheet(pixels: np.ndarray, table: "pd.DataFrame") -> Drawing:
    """Draw every image, (images, height, width, 3), uint8, of the first people.

    The table, with columns identity and severity, is in the same order, person by
    person.
    """
    shots = int((table["identity"] == table["identity"].iloc[0]).sum())
    people = min(_SHEET_PEOPLE, len(table) // shots)
    sheet = pixels[: people * shots].reshape(people, shots, *pixels.shape[1:])
    clean = int((table["severity"].iloc[:shots] == 0).sum())
    figure = plots.image_sheet(
        Figure(figsize=(plots.PAGE_IN, 2)),
        sheet,
        rows=[f"person {who}" for who in range(people)],
        columns=["clean"] * clean + ["degraded"] * (shots - clean),
        label_in=0.62,
    )
    return Drawing(
        "synthetic_faces",
        figure,
        "Synthetic faces",
        f"All images of the first {people} people. Pose, expression, light, "
        "background and camera differ from image to image.",
        "Sheet of synthetic faces, one row per person, clean and degraded images.",
        ("pictures",),
    )


def degradation_sheet(
    face: np.ndarray, severities: tuple[float, ...], seed: int
) -> Drawing:
    """Draw one face, (height, width, 3), at every severity of every degradation."""
    levels = (0.0, *severities)
    sheet = [
        [degrade(face, name, s, seed=seed) for s in levels] for name in DEGRADATIONS
    ]
    figure = plots.image_sheet(
        Figure(figsize=(plots.PAGE_IN, 2)),
        np.array(sheet),
        rows=[name.replace("_", " ") for name in DEGRADATIONS],
        columns=[f"{severity:g}" for severity in levels],
        blocks=2,
    )
    return Drawing(
        "degradation_ladder",
        figure,
        "Every degradation at every severity",
        "One face; severity above each column, 0 is the clean image. A severity "
        "means the same for one degradation at any face, not for two degradations.",
        "Sheet of one face, degraded in fourteen ways, severity rising to the right.",
    )


def severity_curves(table: "pd.DataFrame") -> Drawing:
    """Draw the mean drift over severity."""
    figure = plots.drift_against_severity(Figure(figsize=(plots.PAGE_IN, 4)), table)
    faces = int(table["faces"].iloc[0])
    return Drawing(
        "drift_against_severity",
        figure,
        "Drift against known severity",
        f"Mean drift at sparsity {QUALITY_SPARSITY:g} of the same {faces} faces at "
        "every severity, with the 95 % t interval over faces. A cross marks a "
        "mean that is not above that of the severity before.",
        f"Mean drift. {ends_of_each(table, 'degradation', 'drift', by='severity')}",
        ("ladder", "ladder_faces"),
    )


def discard(bands: Mapping[str, EDCBand]) -> Drawing:
    """Draw the error-versus-discard curves."""
    figure = Figure(figsize=(4.6, 3.4))
    plots.edc_panel(figure.add_subplot(), bands, max_discard=_MOST_DISCARDED)
    told = []
    for name, band in bands.items():
        last = np.searchsorted(band.discard_fraction, _MOST_DISCARDED)
        first, end = band.fnmr.value[[0, min(last, len(band.fnmr.value) - 1)]]
        told.append(
            f"{name}: {first:.3g} before any discard, {end:.3g} at {_MOST_DISCARDED:g}"
        )
    return Drawing(
        "error_versus_discard",
        figure,
        "Error versus discard",
        "False non-match rate of the mated comparisons that are left when those of "
        "lowest quality are discarded; a comparison is as good as the worse of its "
        "images, and the threshold stays that of all images. Bands are 95 % "
        f"{next(iter(bands.values())).method} intervals by identity. First order needs "
        "no pruned network; the known severity is what was done to each image; "
        f"random is one random order.{few_people(bands)}",
        f"FNMR. {'; '.join(told)}.",
        ("edc", "verification"),
    )
