"""The self-contained page: numbers and settings into the template."""

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import numpy as np

from prefiqs_jax.plots.labels import number
from prefiqs_jax.statistics import STATISTICS
from prefiqs_jax.version import __version__

if TYPE_CHECKING:
    import pandas as pd

_HEADINGS = {
    "pearson": "Pearson r",
    "spearman": "Spearman ρ",
    "kendall": "Kendall τ-b",
    "slope": "Slope",
    "median_relative_error": "Median relative error",
    "mean_cosine": "Mean cosine",
}
# Shown in their own places on the page, not among the settings.
_OWN_PLACE = ("backbone", "mask", "sparsities")


class Picture(NamedTuple):
    """A figure as the page shows it."""

    name: str
    title: str
    caption: str
    alt: str
    tables: tuple[str, ...]
    png: bytes
    width_px: int
    """On a wide screen; one inch of any figure is as wide as of any other."""


def render_page(
    manifest: dict[str, Any],
    statistics: "pd.DataFrame",
    pictures: Sequence[Picture],
    *,
    images_done: int,
    images_expected: int,
    replicates: int,
    seed: int,
    notes: Sequence[str],
    in_short: Sequence[str] = (),
) -> str:
    """Fill the template.

    Parameters
    ----------
    manifest
        ``run.json``; keys that are missing leave their line out.
    statistics
        Summary table of the run.
    pictures
        Figures in the order of the page.
    images_done, images_expected
        Images with every sparsity, and all that the run is to have.
    replicates, seed
        Of the bootstrap.
    notes
        Sentences on what the report could not show.
    in_short
        Sentences at the head of the page.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prefiqs_jax", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first = statistics.iloc[0]
    return environment.get_template("template.html.j2").render(
        backbone=first["backbone"],
        mask=first["mask"],
        version=__version__,
        resampled_by=first["resampled_by"],
        clusters=int(np.max(statistics["clusters"].to_numpy())),
        images_done=images_done,
        images_expected=images_expected,
        replicates=replicates,
        seed=seed,
        notes=notes,
        in_short=in_short,
        finding=_finding(statistics),
        headings=list(_HEADINGS.values()),
        lines=_lines(statistics),
        settings=_settings(manifest),
        sessions=[_session(s) for s in manifest.get("sessions") or []],
        skipped=manifest.get("skipped") or [],
        pictures=[
            {**p._asdict(), "data": base64.b64encode(p.png).decode()} for p in pictures
        ],
    )


def with_interval(value: float, low: float, high: float) -> str:
    """Write a value with its interval.

    Examples
    --------
    >>> with_interval(0.9934, 0.988, 0.996)
    '0.993 [0.988, 0.996]'
    >>> with_interval(0.5, float("nan"), float("nan"))
    '0.500'
    """
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(low):
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def _lines(statistics: "pd.DataFrame") -> list[dict[str, Any]]:
    lines = []
    for sparsity, group in statistics.groupby("sparsity"):
        cells = group.set_index("statistic")
        written = [
            with_interval(*cells.loc[name, ["value", "low", "high"]].tolist())
            for name in STATISTICS
        ]
        images = int(group["images"].iloc[0])
        lines.append({"sparsity": f"{sparsity:g}", "images": images, "cells": written})
    return lines


def _finding(statistics: "pd.DataFrame") -> str:
    """Say up to which sparsity the prediction is good, in one sentence."""
    errors = statistics.loc[statistics["statistic"] == "median_relative_error"]
    known = errors.loc[errors["value"].notna()].sort_values("sparsity")
    if len(known) == 0:
        return ""
    good = known["value"].to_numpy(np.float64) <= 0.05
    length = len(good) if good.all() else int(np.argmin(good))
    first, last = known.iloc[0], known.iloc[-1]
    if length == 0:
        return (
            "The median relative error is above 5 % already at the lowest sparsity, "
            f"{first['sparsity']:g}: {100 * first['value']:.1f} %."
        )
    reach = known.iloc[length - 1]
    sentence = (
        f"The median relative error stays within 5 % up to sparsity "
        f"{reach['sparsity']:g}"
    )
    if length == len(known):
        return f"{sentence}, the highest of this run."
    return (
        f"{sentence}; it is {100 * last['value']:.1f} % at the highest, "
        f"{last['sparsity']:g}."
    )


def _settings(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    entries = {
        key: value
        for key, value in (manifest.get("settings") or {}).items()
        if key not in _OWN_PLACE
    }
    for section in ("weights", "images"):
        for key, value in (manifest.get(section) or {}).items():
            entries[f"{section}: {key}"] = value
    return [
        (key.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for key, value in entries.items()
        if value is not None
    ]


def _session(session: dict[str, Any]) -> dict[str, str]:
    versions = session.get("versions") or {}
    device = session.get("device", "not recorded")
    command = session.get("command") or "called from Python"
    return {
        "started": str(session.get("started", "not recorded")),
        "device": device if isinstance(device, str) else json.dumps(device),
        "command": command if isinstance(command, str) else " ".join(map(str, command)),
        "versions": ", ".join(f"{name} {v}" for name, v in versions.items()),
    }
