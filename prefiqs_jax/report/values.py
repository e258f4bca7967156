"""What the page of a run shows beside its figures: numbers, settings, sessions."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.plots.labels import level_label, number
from prefiqs_jax.report.finding import finding
from prefiqs_jax.report.reached import reach_sentence, reach_values
from prefiqs_jax.report.rounded import precision_note, rounding_of, setting_of
from prefiqs_jax.statistics import FEWEST_CLUSTERS, STATISTICS, gathered

if TYPE_CHECKING:
    import pandas as pd

_HEADINGS = {
    "median_relative_residual": "Median relative residual",
    "spearman": "Rank: Spearman ρ",
    "kendall": "Rank: Kendall τ-b",
    "pearson": "Norm: Pearson r",
    "slope": "Norm: slope",
    "median_norm_error": "Norm: median error",
    "mean_cosine": "Direction: mean cosine",
}
# In every stratum; the table has all statistics.
_WITHIN = ("median_relative_residual", "spearman")
# Shown in their own places on the page, not among the settings.
_OWN_PLACE = ("backbone", "mask", "is_change", "sparsities")


def run_values(
    manifest: dict[str, Any],
    tables: "Mapping[str, pd.DataFrame]",
    *,
    images_done: int,
    images_expected: int,
    notes: Sequence[str],
    in_short: Sequence[str] = (),
) -> dict[str, Any]:
    """Gather what ``report.html.j2`` shows.

    Parameters
    ----------
    manifest
        ``run.json``; keys that are missing leave their line out.
    tables
        The run's tables: statistics and mask, and perhaps strata and reach.
    images_done, images_expected
        Images with every sparsity, and all that the run is to have.
    notes, in_short
        Sentences on what the report could not show, and for the head of the page.
    """
    statistics, change = tables["statistics"], change_of(manifest)
    first = statistics.iloc[0]
    found, reached = finding(statistics, change), tables.get("reach")
    if found and reached is not None:
        found = f"{found} {reach_sentence(reached)}"
    return {
        "backbone": first["backbone"],
        "mask": first["mask"],
        "is_change": change is not None,
        "resampled_by": first["resampled_by"],
        "clusters": int(np.max(statistics["clusters"].to_numpy())),
        "images_done": images_done,
        "images_expected": images_expected,
        "fewest": FEWEST_CLUSTERS,
        "rounding": f"{rounding_of(manifest):g}",
        "notes": [*precision_note(manifest), *gathered(statistics), *notes],
        "in_short": in_short,
        "finding": found,
        "reach": None if reached is None else reach_values(reached),
        "headings": list(_HEADINGS.values()),
        "lines": _lines(statistics, tables["mask"], change),
        "strata": _strata(statistics, tables.get("strata")),
        **provenance_values(manifest),
    }


def provenance_values(manifest: dict[str, Any]) -> dict[str, Any]:
    """Gather what ``provenance.html.j2`` shows of ``run.json``."""
    return {
        "settings": _settings(manifest),
        "sessions": [_session(each) for each in manifest.get("sessions") or []],
        "skipped": manifest.get("skipped") or [],
    }


def with_interval(value: float, low: float, high: float) -> str:
    """Write a value with its interval.

    >>> with_interval(0.9934, 0.988, 0.996), with_interval(0.5, np.nan, np.nan)
    ('0.993 [0.988, 0.996]', '0.500')
    """
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(low):
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def change_of(manifest: dict[str, Any]) -> str | None:
    """Give the name of the change of a run's weights, if it is no mask."""
    is_change = setting_of(manifest, "is_change", False)
    return setting_of(manifest, "mask") if is_change else None


def _lines(
    statistics: "pd.DataFrame", mask: "pd.DataFrame", change: str | None
) -> list[dict[str, Any]]:
    lines = []
    for taken in mask.to_dict("records"):
        group = statistics.loc[statistics["sparsity"] == taken["sparsity"]]
        cells = group.set_index("statistic")
        images = int(group["images"].iloc[0])
        lines.append(
            {
                "sparsity": level_label(taken["sparsity"], taken["achieved_sparsity"])
                if change is None
                else f"{taken['achieved_sparsity']:.3g}",
                "delta": number(taken["delta_norm_relative"], ".3g"),
                "images": images,
                "cells": [_cell(cells.loc[name]) for name in STATISTICS],
                "nothing": "" if images else group["caution"].iloc[0],
            }
        )
    return lines


def _cell(line: "pd.Series") -> str:
    return with_interval(*line[["value", "low", "high"]].tolist())


def _strata(
    statistics: "pd.DataFrame", strata: "pd.DataFrame | None"
) -> list[dict[str, Any]]:
    """Lay the strata out: a table for each column and statistic, the pooled first."""
    import pandas as pd

    if strata is None:
        return []
    found = []
    for column, chosen in strata.groupby("strata", sort=False):
        both = pd.concat([statistics.assign(stratum="all (pooled)"), chosen])
        for name in _WITHIN:
            of_it = both.loc[both["statistic"] == name]
            of_it = of_it.assign(cell=of_it.apply(_cell, axis=1))
            heads = of_it.groupby("stratum", sort=False)[["images", "clusters"]].max()
            wide = of_it.pivot(index="sparsity", columns="stratum", values="cell")
            wide = wide.reindex(columns=heads.index).fillna("–")
            found.append(
                {
                    "column": column,
                    "statistic": _HEADINGS[name],
                    "heads": list(heads.itertuples(name=None)),
                    "lines": [
                        (f"{sparsity:g}", *cells)
                        for sparsity, *cells in wide.itertuples(name=None)
                    ],
                    "few": heads.index[heads["clusters"] < FEWEST_CLUSTERS].tolist(),
                }
            )
    return found


def _settings(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (start + key.replace("_", " "), _text(value))
        for section, start in (
            ("settings", ""),
            ("weights", "weights: "),
            ("images", "images: "),
        )
        for key, value in (manifest.get(section) or {}).items()
        if value is not None and not (section == "settings" and key in _OWN_PLACE)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _session(session: dict[str, Any]) -> dict[str, str]:
    versions = session.get("versions") or {}
    command = session.get("command") or "called from Python"
    return {
        "started": str(session.get("started", "not recorded")),
        "device": _text(session.get("device", "not recorded")),
        "command": command if isinstance(command, str) else " ".join(map(str, command)),
        "versions": ", ".join(f"{name} {v}" for name, v in versions.items()),
    }
