"""Tables that the page of an evaluation shows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.evaluation.figures import title
from prefiqs_jax.evaluation.tables import THOUSANDTHS
from prefiqs_jax.plots.labels import level_label, number
from prefiqs_jax.report.page import Grid, Section
from prefiqs_jax.report.values import with_interval

if TYPE_CHECKING:
    import pandas as pd

ABOUT_PROTOCOL = {
    "crfiqa": "As the tables in the wake of CR-FIQA: the worst comparisons go, "
    "whichever kind they are, and the threshold is found again from what is left.",
    "fiqat": "The worst mated comparisons go; the threshold stays that of all.",
    "proportional": "The same share of the worst of either kind goes; the threshold "
    "stays that of all.",
}
"""What is discarded, and which threshold the errors are at."""


def page_sections(
    found: Sequence[Comparison],
    papers: "Mapping[tuple[str, float], pd.DataFrame]",
    tables: "Mapping[str, pd.DataFrame]",
    max_discard: float,
) -> list[Section]:
    """Lay out areas, differences, errors before any discard, and what it cost.

    Parameters
    ----------
    found
        The comparisons.
    papers
        Verifier and rate to :func:`prefiqs_jax.evaluation.tables.paper_table`.
    tables
        Of :func:`prefiqs_jax.evaluation.tables.evaluation_tables`.
    max_discard
        Fraction up to which areas go.
    """
    areas = [
        _areas(verifier, rate, table, tables["areas"], found)
        for (verifier, rate), table in papers.items()
    ]
    differences = [grid for each in found if (grid := _differences(each))]
    sections = [
        Section(
            "areas",
            f"pAUC up to {max_discard:g} discarded, × 1000",
            areas,
            "Lower = better. Intervals are 95 %, each by itself.",
        )
    ]
    if differences:
        sections.append(Section("differences", "Which qualities differ", differences))
    sections.append(
        Section(
            "verification",
            "Before anything is discarded",
            [_verification(tables["verification"])],
        )
    )
    if "pruned_verification" in tables:
        sections.append(_pruned(tables["pruned_verification"]))
    if len(tables["methods"]):
        sections.append(_costs(tables["methods"]))
    return sections


def _areas(
    verifier: str,
    rate: float,
    table: "pd.DataFrame",
    areas: "pd.DataFrame",
    found: Sequence[Comparison],
) -> Grid:
    """Lay the areas of one network's errors out as papers do, with their intervals."""
    rows = areas.loc[(areas["verifier"] == verifier) & (areas["fmr"] == rate)]
    ends = rows.set_index(["scorer", "quality", "benchmark"])[["low", "high"]]
    several = len(set(rows["scorer"])) > 1
    lines = []
    for (scorer, quality), values in table.iterrows():  # type: ignore[misc]
        cells = []
        for name, value in values.items():
            low = high = np.nan
            if name != "mean" and np.isfinite(value):
                low, high = THOUSANDTHS * ends.loc[(scorer, quality, name)].to_numpy()
            cells.append(with_interval(value, low, high))
        lines.append([f"{quality}\n{scorer} scores" if several else quality, *cells])
    silent = [
        f" {each.benchmark} cannot tell these qualities apart: {each.silent[rate]}. No "
        "area is shown, and no mean has it."
        for each in found
        if each.verifier == verifier and rate in each.silent
    ]
    return Grid(
        f"Areas at FMR {rate:g}, {verifier} verifies",
        f"at FMR {rate:g}.{''.join(dict.fromkeys(silent))}",
        ["Quality", *map(str, table.columns)],
        lines,
        ("areas", f"paper_{verifier}_fmr{rate:g}"),
        f"{verifier} verifies",
    )


def _differences(found: Comparison) -> Grid | None:
    """Lay out the paired differences; None without intervals or any doubt."""
    rows = found.areas.loc[~found.areas["is_reference"] & found.areas["tells"]]
    has_intervals = not np.isnan(rows["difference_low"].to_numpy(np.float64)).all()
    if not has_intervals and not found.silent:
        return None
    names = ("difference", "difference_low", "difference_high")
    lines: list[list[str]] = [
        [
            line["quality"],
            f"{line['fmr']:g}",
            with_interval(*(THOUSANDTHS * line[name] for name in names)),
            "yes" if line["differs"] else "no",
        ]
        for line in rows.to_dict("records")
        if has_intervals
    ]
    silent = "".join(f" FMR {r:g}: cannot tell: {f}." for r, f in found.silent.items())
    words = f"{found.about_bands}{silent}"
    if has_intervals:
        words = (
            f"pAUC minus that of {rows['reference'].iloc[0]}, × 1000, paired. "
            f"{found.about_bands} Those of the differences are simultaneous: all "
            f"{len(rows)} of this table hold together with 95 % (max-t). Differs: the "
            f"interval excludes 0.{silent}"
        )
    return Grid(
        f"Differences, {title(found)}",
        words,
        ["Quality", "FMR", "Difference", "Differs"],
        lines,
        ("areas",),
        f"{title(found)}:",
    )


def _verification(table: "pd.DataFrame") -> Grid:
    lines = []
    for line in table.to_dict("records"):
        fmr = number(line["achieved_fmr"], ".3g")
        zero = " (ZeroFMR)" if line["is_zero_fmr"] else ""
        lines.append(
            [
                f"{line['benchmark']}\n{line['verifier']} verifies",
                f"{line['mated_count']:,}",
                f"{line['non_mated_count']:,}",
                number(line["eer"], ".5f"),
                f"{line['fmr']:g}",
                f"{fmr}{zero}",
                number(line["fnmr"], ".5f"),
                "yes" if line["tells"] else "no",
            ]
        )
    heads = ["Benchmark", "Mated comparisons", "Non-mated", "Equal error rate", "FMR"]
    heads += ["Achieved FMR", "FNMR", "Errors enough"]
    return Grid(
        "Errors before anything is discarded",
        "Recognition errors of all comparisons. Errors enough: whether so many fail "
        "that qualities can be told apart.",
        heads,
        lines,
        ("verification",),
    )


def _pruned(table: "pd.DataFrame") -> Section:
    """Lay out the errors of pruned networks, a table for each benchmark and network."""
    grids = []
    names = ["benchmark", "verifier", "mask"]
    for _, rows in table.groupby(names, sort=False):
        benchmark, verifier, mask = rows[names].iloc[0]
        has_accuracy = bool(rows["accuracy"].notna().any())
        heads = ["Sparsity", *["Accuracy"] * has_accuracy, "Equal error rate"]
        for rate in rows["fmr"].unique():
            heads += [f"FNMR at FMR {rate:g}", "Minus unpruned"]
        lines = []
        for _, level in rows.groupby("sparsity", sort=False):
            at = level.to_dict("records")
            label = level_label(at[0]["sparsity"], at[0]["achieved_sparsity"])
            cells = [label if at[0]["sparsity"] else "0 (unpruned)"]
            ends = [100 * at[0][f"accuracy{end}"] for end in ("", "_low", "_high")]
            cells += [with_interval(*ends, form=".2f")] * has_accuracy
            cells.append(number(100 * at[0]["eer"]))
            for one in at:
                for value, start in (("fnmr", ""), ("difference", "difference_")):
                    columns = (value, f"{start}low", f"{start}high")
                    cells.append(with_interval(*(100 * one[name] for name in columns)))
            lines.append(cells)
        grids.append(
            Grid(
                f"Errors of {verifier} pruned by {mask}, {benchmark}",
                f"{verifier} pruned by {mask}; all in %.",
                heads,
                lines,
                ("pruned_verification",),
                f"{benchmark}:",
            )
        )
    return Section(
        "pruned",
        "When the network is pruned",
        grids,
        "Recognition errors of all comparisons. Intervals are 95 %, each by itself, "
        "where errors are enough; those of the differences are paired. Lists of pairs "
        "have an accuracy: ten folds in the order of the list, each with the best "
        "threshold of the others (LFW); its interval is over the folds, where nobody "
        "is in two of them.",
    )


def _costs(methods: "pd.DataFrame") -> Section:
    lines: list[Any] = [
        [name, forwards, source or "–"]
        for name, forwards, source in methods.itertuples(index=False, name=None)
    ]
    grid = Grid(
        "Cost of the qualities",
        "Forward passes of the network for each image; S is the number of sparsities.",
        ["Method", "Forward passes", "Source"],
        lines,
        ("methods",),
    )
    return Section("costs", "What the qualities cost", [grid])
