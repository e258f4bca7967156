"""What the page of a run shows beside its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.plots.labels import counted, level_label, number
from prefiqs_jax.report.finding import finding
from prefiqs_jax.report.on_directions import direction_findings
from prefiqs_jax.report.page import Grid, Page, Section
from prefiqs_jax.report.provenance import provenance_of
from prefiqs_jax.report.reached import reach_section, reach_sentence
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


def run_page(
    manifest: dict[str, Any],
    tables: "Mapping[str, pd.DataFrame]",
    *,
    images_done: int,
    images_expected: int,
    notes: Sequence[str],
    in_short: Sequence[str] = (),
) -> Page:
    """Gather what the page of a run shows.

    Parameters
    ----------
    manifest
        ``run.json``; keys that are missing leave their line out.
    tables
        The run's tables: statistics and mask, and perhaps strata, reach and those of
        :func:`prefiqs_jax.report.on_directions.direction_tables`.
    images_done, images_expected
        Images with every sparsity, and all that the run is to have.
    notes, in_short
        Sentences on what the report could not show, and for the head of the page.
    """
    statistics, change = tables["statistics"], change_of(manifest)
    first = statistics.iloc[0]
    found, reached = finding(statistics, change), tables.get("reach")
    if found and reached is not None:
        found.insert(1, reach_sentence(reached))
    if found:
        # Before the last one, which says of few people that all is from these.
        place = 2 if reached is None else 3
        found[place:place] = direction_findings(tables)
    images = counted(images_done, "image")
    what, images = (
        ("mask", f"{images}, {counted(len(tables['mask']), 'sparsity', 'sparsities')}")
        if change is None
        else ("change of the weights", images)
    )
    sections = [_statistics(statistics, tables["mask"], change)]
    if reached is not None:
        sections.append(reach_section(reached))
    if "strata" in tables:
        sections.append(_strata(statistics, tables["strata"]))
    unfinished = ""
    if images_done < images_expected:
        unfinished = (
            f"Unfinished: {images_done} of {images_expected} images. Run the same "
            "sweep again to continue it, then write this report again."
        )
    return Page(
        "run",
        "First order against drift",
        f"network {first['backbone']}, {what} {first['mask']}, {images}",
        [sentence for sentence in found if sentence],
        sections,
        provenance_of(manifest),
        unfinished=unfinished,
        notes=[*precision_note(manifest), *gathered(statistics), *notes],
        in_short=in_short,
        words={
            "is_change": change is not None,
            "resampled_by": first["resampled_by"],
            "fewest": FEWEST_CLUSTERS,
            "rounding": f"{rounding_of(manifest):g}",
        },
    )


def with_interval(value: float, low: float, high: float, *, form: str = ".3f") -> str:
    """Write a value with its interval, as :func:`number` does.

    >>> with_interval(0.9934, 0.988, 0.996), with_interval(0.5, np.nan, np.nan)
    ('0.993 [0.988, 0.996]', '0.500')
    """
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(low):
        return number(value, form)
    return f"{number(value, form)} [{number(low, form)}, {number(high, form)}]"


def change_of(manifest: dict[str, Any]) -> str | None:
    """Give the name of the change of a run's weights, if it is no mask."""
    is_change = setting_of(manifest, "is_change", False)
    return setting_of(manifest, "mask") if is_change else None


def _statistics(
    statistics: "pd.DataFrame", mask: "pd.DataFrame", change: str | None
) -> Section:
    lines = []
    for taken in mask.to_dict("records"):
        group = statistics.loc[statistics["sparsity"] == taken["sparsity"]]
        cells = group.set_index("statistic")
        images = int(group["images"].iloc[0])
        level = f"{taken['achieved_sparsity']:.3g}"
        if change is None:
            level = level_label(taken["sparsity"], taken["achieved_sparsity"])
        found = [_cell(cells.loc[name]) for name in STATISTICS]
        if not images:
            found = [group["caution"].iloc[0]]
        delta = number(taken["delta_norm_relative"], ".3g")
        lines.append([level, delta, f"{images}", *found])
    clusters = int(np.max(statistics["clusters"].to_numpy()))
    who = f"people ({clusters})"
    if statistics["resampled_by"].iloc[0] != "identity":
        who = f"images, identities unknown ({clusters})"
    norm = "‖δ‖ / ‖θ‖: norm of the weights that go over that of all prunable ones."
    if change is not None:
        norm = (
            "Made zero: fraction of the prunable weights. ‖δ‖ / ‖θ‖: norm of the "
            "change over that of the prunable weights and of what else changes."
        )
    level = "Sparsity" if change is None else "Made zero"
    grid = Grid(
        "Statistics per sparsity",
        f"Value over all images and its 95 % interval, by the jackknife over {who}. "
        f"{norm} A dash: not defined, because nothing varies or there are too few. A "
        "value without interval: see the notes above.",
        [level, "‖δ‖ / ‖θ‖", "Images", *_HEADINGS.values()],
        lines,
        ("statistics", "mask"),
    )
    return Section("statistics", "Statistics", [grid])


def _cell(line: "pd.Series") -> str:
    return with_interval(*line[["value", "low", "high"]].tolist())


def _strata(statistics: "pd.DataFrame", strata: "pd.DataFrame") -> Section:
    """Lay the strata out: a table for each column and statistic, the pooled first."""
    import pandas as pd

    by_person = statistics["resampled_by"].iloc[0] == "identity"
    grids = []
    for column, chosen in strata.groupby("strata", sort=False):
        both = pd.concat([statistics.assign(stratum="all (pooled)"), chosen])
        for name in _WITHIN:
            of_it = both.loc[both["statistic"] == name]
            of_it = of_it.assign(cell=of_it.apply(_cell, axis=1))
            heads = of_it.groupby("stratum", sort=False)[["images", "clusters"]].max()
            wide = of_it.pivot(index="sparsity", columns="stratum", values="cell")
            wide = wide.reindex(columns=heads.index).fillna("–")
            few = heads.index[heads["clusters"] < FEWEST_CLUSTERS].tolist()
            warned = (
                f" Fewer than {FEWEST_CLUSTERS} {'people' if by_person else 'images'} "
                f"in: {'; '.join(few)}; those intervals miss the truth more often than "
                "they say."
            )
            columns = [
                f"{stratum}\n{counted(images, 'image')}"
                + (f", {counted(clusters, 'person', 'people')}" if by_person else "")
                for stratum, images, clusters in heads.itertuples(name=None)
            ]
            grids.append(
                Grid(
                    f"{_HEADINGS[name]} by {column}",
                    f"by {column}.{warned if few else ''}",
                    ["Sparsity", *columns],
                    [
                        [f"{sparsity:g}", *cells]
                        for sparsity, *cells in wide.itertuples(name=None)
                    ],
                    ("strata", "statistics"),
                    _HEADINGS[name],
                )
            )
    return Section(
        "strata",
        "Within strata",
        grids,
        "A statistic over images of very mixed quality is flattered by the mixture; "
        "here is each beside its value within like images. Why a value has no interval "
        "is in the column caution of the table, which has all statistics.",
    )
