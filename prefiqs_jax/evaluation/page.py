"""Write an evaluation down: tables as CSV, figures as PNG and PDF, and a summary."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax import plots
from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.evaluation.figures import Drawn, draw_comparison, draw_det
from prefiqs_jax.evaluation.folder import marker
from prefiqs_jax.evaluation.options import EvaluationOptions, Verifier
from prefiqs_jax.evaluation.tables import markdown, paper_table
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots.saving import render
from prefiqs_jax.quality import METHODS

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "summary.md"
_SHOWN = ["benchmark", "verifier", "mated_count", "non_mated_count", "eer", "fmr"]
_SHOWN += ["achieved_fmr", "fnmr", "is_zero_fmr", "tells"]


def write_page(
    out: Path,
    found: Sequence[Comparison],
    verifiers: Sequence[Verifier],
    methods: Sequence[str],
    options: EvaluationOptions,
) -> tuple[list[str], Path]:
    """Write tables, figures and summary.

    Parameters
    ----------
    out
        Folder of the evaluation, locked by the caller.
    found
        What was compared.
    verifiers, methods, options
        What was asked for.

    Returns
    -------
    lines : list of str
        What is worth a line on the terminal.
    page : Path
        ``OUT/summary.md``.

    Raises
    ------
    InputError
        If a file cannot be written, or one of the user's has its name.
    """
    import pandas as pd

    tables = {
        "areas": pd.concat([each.areas for each in found], ignore_index=True),
        "curves": pd.concat([each.points for each in found], ignore_index=True),
        "verification": _verification(found),
    }
    papers = {
        (verifier.backbone.name, rate): paper_table(
            tables["areas"], rate, verifier.backbone.name
        )
        for verifier in verifiers
        for rate in options.fmr
    }
    files: dict[str, str | bytes] = {
        f"tables/{name}.csv": table.to_csv(index=False)
        for name, table in tables.items()
    }
    for (verifier, rate), table in papers.items():
        name = f"tables/paper_{verifier}_fmr{rate:g}.csv"
        files[name] = table.to_csv(float_format="%.3f")
    drawings = _write_figures(files, found, options)
    lines = _lines(found, options)
    text = [
        "# Error versus discard",
        "",
        *lines,
        "",
        "## Before anything is discarded",
        "",
        *markdown(
            tables["verification"][_SHOWN].set_index("benchmark"),
            digits=5,
        ),
        "",
        *_paper_sections(papers, found, options),
        *_difference_sections(found),
        *_cost_section(methods),
        *_figure_section(drawings),
    ]
    files[SUMMARY] = "\n".join(text) + "\n"
    write_outputs(out, {**files, **marker()}, locked=True, all_of_it=True)
    return lines, out / SUMMARY


def _write_figures(
    files: dict[str, str | bytes],
    found: Sequence[Comparison],
    options: EvaluationOptions,
) -> list[Drawn]:
    """Draw all figures, and add them to the files that are to be written."""
    with plots.theme():
        drawings = [
            drawn
            for each in found
            for drawn in draw_comparison(each, options.max_discard)
        ]
        for benchmark in dict.fromkeys(each.benchmark for each in found):
            its = {e.verifier: e.det for e in found if e.benchmark == benchmark}
            drawings.append(draw_det(benchmark, its))
        for drawn in drawings:
            png, pdf = render(drawn.figure)
            files[f"figures/{drawn.name}.png"] = png
            files[f"figures/{drawn.name}.pdf"] = pdf
    return drawings


def _verification(found: Sequence[Comparison]) -> "pd.DataFrame":
    import pandas as pd

    tables = [each.verification.drop(columns="scorer") for each in found]
    return pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True)


def _lines(found: Sequence[Comparison], options: EvaluationOptions) -> list[str]:
    """Say for each comparison which quality has the least area at the first rate."""
    rate = options.fmr[0]
    lines = list(dict.fromkeys(note for each in found for note in each.notes))
    for each in found:
        who = f"{each.benchmark}, {each.verifier} verifies, {each.scorer} scores"
        if rate in each.silent:
            lines.append(f"{who}: cannot tell at FMR {rate:g}: {each.silent[rate]}")
            continue
        rows = each.areas.loc[each.areas["fmr"] == rate]
        ranked = rows.sort_values("pauc", kind="stable")
        best = ranked.iloc[0]
        interval = ""
        if best["low"] == best["low"]:
            interval = f" [{1e3 * best['low']:.3f}, {1e3 * best['high']:.3f}]"
        line = (
            f"{who}: FNMR {best['fnmr_start']:.4f} at FMR {rate:g}; least pAUC "
            f"{1e3 * best['pauc']:.3f}{interval} ×10⁻³ by {best['quality']}"
        )
        others = rows.loc[~rows["is_reference"]]
        if best["low"] == best["low"] and len(others):
            line += (
                f"; {int(others['differs'].sum())} of {len(others)} qualities differ "
                f"from {best['reference']}"
            )
        lines.append(line)
    return lines


def _paper_sections(
    papers: "dict[tuple[str, float], pd.DataFrame]",
    found: Sequence[Comparison],
    options: EvaluationOptions,
) -> list[str]:
    lines = [
        f"## pAUC up to {options.max_discard:g} discarded, ×10³ (lower = better), "
        f"protocol {options.protocol}",
        "",
        "Areas of other protocols, limits or normalisations cannot be compared with "
        "these. A scorer that verifies is the same-model protocol, another one the "
        "cross-model protocol.",
        "",
    ]
    for (verifier, rate), table in papers.items():
        lines += [f"### {verifier} verifies, FMR {rate:g}", "", *markdown(table), ""]
        silent = {
            each.benchmark: each.silent[rate]
            for each in found
            if each.verifier == verifier and rate in each.silent
        }
        for name, few in silent.items():
            line = f"{name} cannot tell these qualities apart: {few}. No area is shown"
            lines += [f"{line}, and no mean has it.", ""]
    return lines


def _difference_sections(found: Sequence[Comparison]) -> list[str]:
    lines = ["## Which qualities differ", ""]
    for each in found:
        title = f"### {each.benchmark}, {each.verifier} verifies, {each.scorer} scores"
        for rate, few in each.silent.items():
            lines += [f"{title}, FMR {rate:g}", "", f"Cannot tell: {few}.", ""]
        rows = each.areas.loc[~each.areas["is_reference"] & each.areas["tells"]]
        if np.isnan(rows["difference_low"].to_numpy(np.float64)).all():
            lines += [each.about_bands, ""] if each.silent else []
            continue
        reference = rows["reference"].iloc[0]
        shown = rows[["fmr", "quality"]].copy()
        for column in ("difference", "difference_low", "difference_high"):
            shown[column] = 1e3 * rows[column]
        shown["differs"] = rows["differs"].to_numpy(bool)
        shown["fmr"] = [f"{rate:g}" for rate in rows["fmr"]]
        lines += [
            f"{title}: pAUC minus that of {reference}, ×10³",
            "",
            f"{each.about_bands} Differences are paired. Theirs are simultaneous: all "
            f"{len(rows)} of this table hold together with 95 % (max-t). Differs: the "
            "interval excludes 0.",
            "",
            *markdown(shown.set_index("fmr")),
            "",
        ]
    return lines if len(lines) > 2 else []


def _cost_section(methods: Sequence[str]) -> list[str]:
    if not methods:
        return []
    lines = ["## What the qualities cost", "", "| method | forward passes | source |"]
    lines.append("|---|---|---|")
    for name in methods:
        method = METHODS[name]
        lines.append(f"| {name} | {method.forwards} | {method.source or '–'} |")
    return [*lines, ""]


def _figure_section(drawings: Sequence[Drawn]) -> list[str]:
    lines = ["## Figures", ""]
    for drawn in drawings:
        lines += [
            f"![{drawn.caption}](figures/{drawn.name}.png)",
            "",
            drawn.caption,
            "",
        ]
    return lines
