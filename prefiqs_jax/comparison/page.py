"""What the page of a comparison of masks shows beside its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.comparison.finding import finding
from prefiqs_jax.comparison.tables import emptied_layers
from prefiqs_jax.plots.labels import counted, level_label, number
from prefiqs_jax.report.page import Grid, Page, Section
from prefiqs_jax.report.provenance import provenance_of
from prefiqs_jax.report.rounded import precision_note, rounding_of, setting_of
from prefiqs_jax.report.values import with_interval
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


def comparison_page(
    manifest: dict[str, Any],
    tables: "Mapping[str, pd.DataFrame]",
    reference: str,
    *,
    images_expected: int,
    notes: Sequence[str],
) -> Page:
    """Gather what the page of a comparison shows.

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
    done = int(first["images"] + first["below_rounding"])
    by_person = first["resampled_by"] == "identity"
    clusters = max(masks["clusters"].tolist())
    units = counted(clusters, *(("person", "people") if by_person else ("image",)))
    sections = [
        _ranked(ranked, masks, reference, units),
        _masks(masks),
        _differences(tables["differences"], masks, reference),
    ]
    if len(tables["separation"]):
        sections.append(_separation(tables["separation"]))
    unfinished = ""
    if done < images_expected:
        unfinished = (
            f"Unfinished: {done} of {images_expected} images. Run the same command "
            "again to continue."
        )
    return Page(
        "comparison",
        "Masks compared",
        f"network {first['backbone']}, "
        f"{counted(len(set(masks['mask'])), 'mask')}, "
        f"{counted(len(set(masks['sparsity'])), 'sparsity', 'sparsities')}, "
        f"{counted(done, 'image')}{f' of {units}' if by_person else ''}; "
        f"reference: {reference}",
        finding(masks, ranked, tables["separation"]),
        sections,
        provenance_of(manifest),
        unfinished=unfinished,
        notes=[*precision_note(manifest), *notes, *_limits(manifest, tables["layers"])],
        words={
            "resampled_by": first["resampled_by"],
            "people_or_images": "people" if by_person else "images",
            "fewest": FEWEST_CLUSTERS,
            "rounding": f"{rounding_of(manifest):g}",
        },
    )


def _limits(manifest: dict[str, Any], layers: "pd.DataFrame") -> list[str]:
    """Say which sparsities a mask cannot reach, and which layers it empties."""
    unknown: Mapping[str, Sequence[float]] = {}
    told = [
        f"{mask}: {', '.join(f'{one:g}' for one in beyond)}"
        for mask, beyond in (
            setting_of(manifest, "unreachable_sparsities") or unknown
        ).items()
    ]
    emptied = [
        f"{mask} at sparsity {sparsity:g}: {', '.join(names)}"
        for mask, sparsity, names in emptied_layers(layers)
    ]
    gone = "Layers that lose all their weights: "
    beyond = "Sparsities that a mask cannot reach, left out for it: "
    return [
        *([f"{beyond}{'; '.join(told)}."] if told else []),
        *([f"{gone}{'; '.join(emptied)}."] if emptied else []),
    ]


def _known(table: "pd.DataFrame", names: Mapping[str, str]) -> list[str]:
    """List the columns that have a number: other masks' than the reference's."""
    if "is_reference" in table:
        table = table.loc[~table["is_reference"]]
    return [name for name in names if np.any(table[name].notna())]


def _ranked(
    ranked: "pd.DataFrame", masks: "pd.DataFrame", reference: str, units: str
) -> Section:
    names = _known(ranked, _MATCHED)
    lines = []
    for line in ranked.to_dict("records"):
        own = masks.loc[masks["mask"] == line["mask"], "mean_drift"]
        span = _span(line["lowest_drift"], line["highest_drift"])
        if span == "–":
            span = _span(own.min(), own.max())
            span += "" if line["is_reference"] else " (none in common)"
        rank = "–" if np.isnan(line["residual_ratio"]) else f"{line['rank']}"
        mask = f"{line['mask']} *" if line["differs"] else line["mask"]
        cells = ["reference" if line["is_reference"] else _of(line, n) for n in names]
        lines.append([mask, rank, *cells, span])
    grid = Grid(
        "Masks ranked",
        f"Paired change from {reference}, averaged over the range of mean drift that "
        "both have, on a logarithmic axis; nothing is extrapolated. Below 1 = "
        f"predicted better. 95 % intervals by the jackknife over {units}, paired, "
        "which hold together for all masks of a column (max-t). * : the interval of "
        "the first column excludes 1. A dash: no range in common.",
        ["Mask", "Rank", *(_MATCHED[name] for name in names), "Mean drift"],
        lines,
        ("ranked", "matched"),
    )
    return Section("ranked", "Ranked at equal mean drift", [grid])


def _span(low: float, high: float) -> str:
    """Write a range of drifts.

    >>> _span(0.1, 0.25), _span(0.1, 0.1), _span(float("nan"), float("nan"))
    ('0.1 to 0.25', '0.1', '–')
    """
    if not np.isfinite(low):
        return "–"
    return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"


def _of(line: Mapping[Any, Any], name: str) -> str:
    """Write a value of a line with its interval; areas times 1000."""
    times = 1000 if name == "pauc" else 1
    return with_interval(*(times * line[f"{name}{e}"] for e in ("", "_low", "_high")))


def _masks(masks: "pd.DataFrame") -> Section:
    names = _known(masks, _OWN)
    plain = ("delta_norm_relative", "images", "mean_drift", "mean_first_order")
    lines = [
        [
            line["mask"],
            level_label(line["sparsity"], line["achieved_sparsity"]),
            *(number(line[name], ".3g" if name != "images" else "d") for name in plain),
            *(_of(line, name) for name in names),
        ]
        for line in masks.to_dict("records")
    ]
    heads = ["Mask", "Sparsity", "‖δ‖ / ‖θ‖", "Images", "Mean drift"]
    grid = Grid(
        "Masks at each sparsity",
        "Value over all images and its 95 % interval, each by itself. ‖δ‖ / ‖θ‖: norm "
        "of the weights that go over that of all prunable ones.",
        [*heads, "Mean first order", *(_OWN[name] for name in names)],
        lines,
        ("masks",),
    )
    return Section("masks", "Each mask at each sparsity", [grid])


def _differences(
    differences: "pd.DataFrame", masks: "pd.DataFrame", reference: str
) -> Section:
    """Lay the ratios of residuals at equal sparsity out, a line for each mask."""
    chosen = differences.loc[differences["statistic"] == "relative_residual"]
    found = chosen.set_index(["mask", "sparsity"])
    sparsities = sorted(set(masks["sparsity"]))
    lines = []
    for mask in dict.fromkeys(masks["mask"]):
        if mask == reference:
            continue
        cells = []
        for sparsity in sparsities:
            values = (np.nan,) * 3
            if (mask, sparsity) in found.index:
                values = found.loc[(mask, sparsity), ["change", "low", "high"]].tolist()
            cells.append(with_interval(*values))
        lines.append([mask, *cells])
    grid = Grid(
        "Ratios at equal sparsity",
        f"Relative residual, times that of {reference} at the same sparsity (geometric "
        "mean over the images, paired), with 95 % intervals that hold for all of this "
        "table together. Confounded with the drift: see the ranking above.",
        ["Mask", *(f"{sparsity:g}" for sparsity in sparsities)],
        lines,
        ("differences",),
    )
    return Section("differences", "At equal sparsity", [grid])


def _separation(separation: "pd.DataFrame") -> Section:
    """Lay the areas out by severity, a line for each mask and sparsity."""
    heads = list(dict.fromkeys(separation["severity"]))
    cells = {
        (line["mask"], line["sparsity"], line["severity"]): with_interval(
            line["auroc"], line["low"], line["high"]
        )
        for line in separation.to_dict("records")
    }
    points = list(dict.fromkeys((mask, sparsity) for mask, sparsity, _ in cells))
    degraded = dict(zip(separation["severity"], separation["degraded"], strict=True))
    lines = [
        [mask, f"{sparsity:g}", *(cells.get((mask, sparsity, h), "–") for h in heads)]
        for mask, sparsity in points
    ]
    words = {head: "all" if head == "all" else f"severity {head}" for head in heads}
    above = [f"{words[head]}\n{counted(degraded[head], 'image')}" for head in heads]
    grid = Grid(
        "Separation by severity",
        "Area under the ROC curve of drift: the probability that a degraded image "
        f"drifts farther than one of {max(separation['clean'].tolist())} clean images; "
        "0.5 = no separation. 95 % intervals, each by itself.",
        ["Mask", "Sparsity", *above],
        lines,
        ("separation",),
    )
    return Section("separation", "Clean and degraded images", [grid])
