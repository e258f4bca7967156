"""What the page of a comparison of masks shows beside its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.comparison.finding import finding
from prefiqs_jax.comparison.tables import emptied_layers
from prefiqs_jax.plots.labels import level_label, number
from prefiqs_jax.report.rounded import precision_note, rounding_of, setting_of
from prefiqs_jax.report.values import provenance_values, with_interval
from prefiqs_jax.statistics import FEWEST_CLUSTERS

if TYPE_CHECKING:
    import pandas as pd

_MATCHED = {
    "residual_ratio": "Relative residual, times the reference's",
    "residual_ratio_at_delta": "The same at equal ‖δ‖",
    "spearman": "Spearman ρ, difference",
    "separation": "AUROC, difference",
}
_OWN = {
    "median_relative_residual": "Median relative residual",
    "spearman": "Spearman ρ",
    "mean_cosine": "Mean cosine",
    "separation": "AUROC, clean or degraded",
    "pauc": "pAUC × 1000",
}


def page_values(
    manifest: dict[str, Any],
    tables: "Mapping[str, pd.DataFrame]",
    reference: str,
    *,
    images_expected: int,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Gather what ``comparison.html.j2`` shows.

    Parameters
    ----------
    manifest
        ``run.json``.
    tables
        masks, ranked, differences, matched, separation, areas, layers, overlap.
    reference
        Mask that the others are compared to.
    images_expected
        Images that the run is to have.
    notes
        Sentences on what limits the numbers.
    """
    masks, ranked = tables["masks"], tables["ranked"]
    first = masks.iloc[0]
    unknown: Mapping[str, Sequence[float]] = {}
    unreachable = setting_of(manifest, "unreachable_sparsities") or unknown
    return {
        "backbone": first["backbone"],
        "reference": reference,
        "mask_names": list(dict.fromkeys(masks["mask"])),
        "images_done": int(first["images"] + first["below_rounding"]),
        "images_expected": images_expected,
        "resampled_by": first["resampled_by"],
        "clusters": max(masks["clusters"].tolist()),
        "fewest": FEWEST_CLUSTERS,
        "rounding": f"{rounding_of(manifest):g}",
        "in_short": finding(masks, ranked, tables["separation"]),
        "notes": [*precision_note(manifest), *notes],
        "unreachable": {
            mask: ", ".join(f"{one:g}" for one in beyond)
            for mask, beyond in unreachable.items()
        },
        "emptied": emptied_layers(tables["layers"]),
        "ranked_heads": [_MATCHED[name] for name in _known(ranked, _MATCHED)],
        "ranked": [
            _ranked_line(line, ranked, masks) for line in ranked.to_dict("records")
        ],
        "mask_heads": [_OWN[name] for name in _known(masks, _OWN)],
        "masks": [_mask_line(line, masks) for line in masks.to_dict("records")],
        "sparsities": [f"{one:g}" for one in sorted(set(masks["sparsity"]))],
        "differences": _differences(tables["differences"], masks, reference),
        "separation": _separation(tables["separation"]),
        **provenance_values(manifest),
    }


def _known(table: "pd.DataFrame", names: Mapping[str, str]) -> list[str]:
    """List the columns that have a number: other masks' than the reference's."""
    if "is_reference" in table:
        table = table.loc[~table["is_reference"]]
    return [name for name in names if np.any(table[name].notna())]


def _ranked_line(
    line: Mapping[Any, Any], ranked: "pd.DataFrame", masks: "pd.DataFrame"
) -> dict[str, Any]:
    cells = [
        "reference"
        if line["is_reference"]
        else with_interval(*(line[f"{name}{end}"] for end in ("", "_low", "_high")))
        for name in _known(ranked, _MATCHED)
    ]
    own = masks.loc[masks["mask"] == line["mask"], "mean_drift"]
    span = _span(line["lowest_drift"], line["highest_drift"])
    if span == "–":
        span = _span(own.min(), own.max())
        span += "" if line["is_reference"] else " (none in common)"
    return {
        "rank": "–" if np.isnan(line["residual_ratio"]) else f"{line['rank']}",
        "mask": line["mask"],
        "differs": line["differs"],
        "span": span,
        "cells": cells,
    }


def _span(low: float, high: float) -> str:
    """Write a range of drifts.

    >>> _span(0.1, 0.25), _span(0.1, 0.1), _span(float("nan"), float("nan"))
    ('0.1 to 0.25', '0.1', '–')
    """
    if not np.isfinite(low):
        return "–"
    return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"


def _mask_line(line: Mapping[Any, Any], masks: "pd.DataFrame") -> dict[str, Any]:
    def cell(name: str) -> str:
        values = [line[f"{name}{end}"] for end in ("", "_low", "_high")]
        times = 1000 if name == "pauc" else 1
        return with_interval(*(times * value for value in values))

    return {
        "mask": line["mask"],
        "sparsity": level_label(line["sparsity"], line["achieved_sparsity"]),
        "delta": number(line["delta_norm_relative"], ".3g"),
        "drift": number(line["mean_drift"], ".3g"),
        "first_order": number(line["mean_first_order"], ".3g"),
        "images": line["images"],
        "cells": [cell(name) for name in _known(masks, _OWN)],
    }


def _differences(
    differences: "pd.DataFrame", masks: "pd.DataFrame", reference: str
) -> list[tuple[str, list[str]]]:
    """Lay the ratios of residuals at equal sparsity out, a line for each mask."""
    chosen = differences.loc[differences["statistic"] == "relative_residual"]
    found = chosen.set_index(["mask", "sparsity"])
    lines = []
    for mask in dict.fromkeys(masks["mask"]):
        if mask == reference:
            continue
        cells = []
        for sparsity in sorted(set(masks["sparsity"])):
            values = (np.nan,) * 3
            if (mask, sparsity) in found.index:
                values = found.loc[(mask, sparsity), ["change", "low", "high"]].tolist()
            cells.append(with_interval(*values))
        lines.append((mask, cells))
    return lines


def _separation(separation: "pd.DataFrame") -> dict[str, Any] | None:
    """Lay the areas out by severity, a line for each mask and sparsity."""
    if not len(separation):
        return None
    heads = list(dict.fromkeys(separation["severity"]))
    cells = {
        (line["mask"], line["sparsity"], line["severity"]): with_interval(
            line["auroc"], line["low"], line["high"]
        )
        for line in separation.to_dict("records")
    }
    points = list(dict.fromkeys((mask, sparsity) for mask, sparsity, _ in cells))
    degraded = dict(zip(separation["severity"], separation["degraded"], strict=True))
    return {
        "heads": [(head, degraded[head]) for head in heads],
        "clean": max(separation["clean"].tolist()),
        "lines": [
            (
                mask,
                f"{sparsity:g}",
                [cells.get((mask, sparsity, h), "–") for h in heads],
            )
            for mask, sparsity in points
        ],
    }
