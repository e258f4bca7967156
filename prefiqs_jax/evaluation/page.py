"""What the page of an evaluation shows, and the files that it is written to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax import plots
from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.evaluation.figures import draw_figures, title
from prefiqs_jax.evaluation.folder import marker
from prefiqs_jax.evaluation.options import EvaluationOptions, Verifier
from prefiqs_jax.evaluation.tables import markdown, paper_table
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.quality import METHODS
from prefiqs_jax.report.page import page_files

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
    """Write tables, figures and summary into a folder that the caller has locked.

    Gives what is worth a line on the terminal, and the path of the summary. Raises
    InputError if a file cannot be written, or one of the user's has its name.
    """
    import pandas as pd

    verification = pd.concat(
        [each.verification.drop(columns="scorer") for each in found], ignore_index=True
    ).drop_duplicates(ignore_index=True)
    tables = {
        "areas": pd.concat([each.areas for each in found], ignore_index=True),
        "curves": pd.concat([each.points for each in found], ignore_index=True),
        "verification": verification,
    }
    papers = {
        (verifier.backbone.name, rate): paper_table(
            tables["areas"], rate, verifier.backbone.name
        )
        for verifier in verifiers
        for rate in options.fmr
    }
    lines = _lines(found, options)
    values = {
        "lines": lines,
        "verification": markdown(verification[_SHOWN].set_index("benchmark"), digits=5),
        "max_discard": f"{options.max_discard:g}",
        "protocol": options.protocol,
        "papers": [
            _paper(verifier, rate, table, found)
            for (verifier, rate), table in papers.items()
        ],
        "differences": [part for each in found if (part := _difference(each))],
        "methods": {name: METHODS[name] for name in methods},
    }
    with plots.theme():
        drawings = draw_figures(found, options.max_discard)
        files = page_files(SUMMARY, values, tables, drawings)
    for (verifier, rate), table in papers.items():
        text = table.to_csv(float_format="%.3f")
        files[f"tables/paper_{verifier}_fmr{rate:g}.csv"] = text
    write_outputs(out, {**files, **marker()}, locked=True, all_of_it=True)
    return lines, out / SUMMARY


def _lines(found: Sequence[Comparison], options: EvaluationOptions) -> list[str]:
    """Summarise each comparison: the quality with the least area at the first rate."""
    rate = options.fmr[0]
    lines = list(dict.fromkeys(note for each in found for note in each.notes))
    for each in found:
        who = title(each)
        if rate in each.silent:
            lines.append(f"{who}: cannot tell at FMR {rate:g}: {each.silent[rate]}")
            continue
        rows = each.areas.loc[each.areas["fmr"] == rate]
        ranked = rows.sort_values("pauc", kind="stable")
        best = ranked.iloc[0]
        has_interval = best["low"] == best["low"]
        interval = ""
        if has_interval:
            interval = f" [{1e3 * best['low']:.3f}, {1e3 * best['high']:.3f}]"
        line = (
            f"{who}: FNMR {best['fnmr_start']:.4f} at FMR {rate:g}; least pAUC "
            f"{1e3 * best['pauc']:.3f}{interval} ×10⁻³ by {best['quality']}"
        )
        others = rows.loc[~rows["is_reference"]]
        if has_interval and len(others):
            line += (
                f"; {int(others['differs'].sum())} of {len(others)} qualities differ "
                f"from {best['reference']}"
            )
        lines.append(line)
    return lines


def _paper(
    verifier: str, rate: float, table: "pd.DataFrame", found: Sequence[Comparison]
) -> dict[str, Any]:
    """Give the areas of one network's errors, and the benchmarks that cannot tell."""
    silent = {
        each.benchmark: each.silent[rate]
        for each in found
        if each.verifier == verifier and rate in each.silent
    }
    return {
        "verifier": verifier,
        "fmr": f"{rate:g}",
        "table": markdown(table),
        "silent": silent,
    }


def _difference(found: Comparison) -> Mapping[str, Any] | None:
    """Give the differences to the reference; None without intervals or any doubt."""
    rows = found.areas.loc[~found.areas["is_reference"] & found.areas["tells"]]
    has_intervals = not np.isnan(rows["difference_low"].to_numpy(np.float64)).all()
    if not has_intervals and not found.silent:
        return None
    part = {
        "title": title(found),
        "silent": {f"{rate:g}": few for rate, few in found.silent.items()},
        "about_bands": found.about_bands,
        "table": "",
    }
    if has_intervals:
        shown = rows[["fmr", "quality"]].copy()
        for column in ("difference", "difference_low", "difference_high"):
            shown[column] = 1e3 * rows[column]
        shown["differs"] = rows["differs"].to_numpy(bool)
        shown["fmr"] = [f"{rate:g}" for rate in rows["fmr"]]
        part |= {
            "reference": rows["reference"].iloc[0],
            "count": len(rows),
            "table": markdown(shown.set_index("fmr")),
        }
    return part
