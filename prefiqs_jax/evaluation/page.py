"""The page of an evaluation, and the files that it is written to."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.evaluation.figures import draw_figures, title
from prefiqs_jax.evaluation.folder import MEASURED, PRUNED, marker
from prefiqs_jax.evaluation.options import EvaluationOptions, Verifier
from prefiqs_jax.evaluation.sections import ABOUT_PROTOCOL, page_sections
from prefiqs_jax.evaluation.tables import evaluation_tables, paper_table
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.report.page import Page, page_files
from prefiqs_jax.report.provenance import Provenance, provenance_of
from prefiqs_jax.results import read_manifest

if TYPE_CHECKING:
    import pandas as pd

PAGE = "report.html"


def write_page(
    out: Path,
    found: Sequence[Comparison],
    pruned: "Sequence[pd.DataFrame]",
    verifiers: Sequence[Verifier],
    methods: Sequence[str],
    options: EvaluationOptions,
) -> tuple[list[str], Path]:
    """Write tables, figures and page into a folder that the caller has locked.

    Gives what is worth a line on the terminal, and the path of the page. Raises
    InputError if a file cannot be written, or one of the user's has its name.
    """
    provenance = _provenance(out, found, options)
    tables = evaluation_tables(found, pruned, methods, provenance.skipped)
    papers = {
        (verifier.backbone.name, rate): paper_table(
            tables["areas"], rate, verifier.backbone.name
        )
        for verifier in verifiers
        for rate in options.fmr
    }
    notes = list(dict.fromkeys(note for each in found for note in each.notes))
    first, *others = [_finding(each, options.fmr[0]) for each in found]
    others += map(_pruned_finding, pruned)
    page = Page(
        "evaluation",
        "Error versus discard",
        _lead(found, options),
        [f"{first}."],
        page_sections(found, papers, tables, options.max_discard),
        provenance,
        notes=[f"{note}." for note in notes],
        in_short=[f"{line}." for line in others],
        words={
            "protocol": options.protocol,
            "about_protocol": ABOUT_PROTOCOL[options.protocol],
            "max_discard": f"{options.max_discard:g}",
            "about_bands": found[0].about_bands,
        },
    )
    with plots.theme():
        files = page_files(
            PAGE,
            page,
            tables,
            draw_figures(found, options.max_discard),
            progress=options.progress,
        )
    for (verifier, rate), table in papers.items():
        text = table.to_csv(float_format="%.3f")
        files[f"tables/paper_{verifier}_fmr{rate:g}.csv"] = text
    write_outputs(out, {**files, **marker()}, locked=True, all_of_it=True)
    return [*notes, first, *others], out / PAGE


def _lead(found: Sequence[Comparison], options: EvaluationOptions) -> str:
    benchmarks, networks = (
        ", ".join(dict.fromkeys(names))
        for names in ([f.benchmark for f in found], [f.verifier for f in found])
    )
    rates = ", ".join(f"{rate:g}" for rate in options.fmr)
    count = found[0].areas["quality"].nunique()
    return (
        f"{benchmarks}; verified by {networks}; {count} qualities, FMR {rates}, "
        f"protocol {options.protocol}"
    )


def _finding(found: Comparison, rate: float) -> str:
    """Name the quality with the least area of a comparison."""
    who = title(found)
    if rate in found.silent:
        return f"{who}: cannot tell at FMR {rate:g}: {found.silent[rate]}"
    rows = found.areas.loc[found.areas["fmr"] == rate]
    best = rows.sort_values("pauc", kind="stable").iloc[0]
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
    return line


def _pruned_finding(table: "pd.DataFrame") -> str:
    """Say what is left of one network's recognition at the highest sparsity."""
    dense, last = table.iloc[0], table.loc[table["sparsity"].idxmax()]
    name, what, form = "accuracy", "accuracy", ".2f"
    if dense[name] != dense[name]:
        name, what, form = "eer", "equal error rate", ".3f"
    before, after = (format(100 * row[name], form) for row in (dense, last))
    return (
        f"{dense['benchmark']}, {dense['verifier']} pruned by {dense['mask']}: {what} "
        f"{before} % unpruned, {after} % at sparsity {last['sparsity']:g}"
    )


def _provenance(
    out: Path, found: Sequence[Comparison], options: EvaluationOptions
) -> Provenance:
    """Gather how to compare, and what the networks gave for every benchmark."""
    unsaid = {"command", "progress", "calibration", "earlier"}
    settings: list[tuple[str, str]] = [
        (field.name.replace("_", " "), str(value))
        for field in dataclasses.fields(options)
        if (value := getattr(options, field.name)) is not None
        and field.name not in unsaid
    ]
    sessions: dict[str, Mapping[str, str]] = {}
    skipped: list[tuple[str, str]] = []
    for benchmark, network in dict.fromkeys((f.benchmark, f.verifier) for f in found):
        folder = out / MEASURED / as_folder(benchmark) / as_folder(network)
        if not folder.exists():
            continue
        its = provenance_of(read_manifest(folder))
        where = f"{benchmark}, {network}"
        settings += [(f"{where}: {name}", value) for name, value in its.settings]
        sessions |= {
            f"{each['command']}{each['versions']}": each for each in its.sessions
        }
        skipped += [(f"{where}: {image}", reason) for image, reason in its.skipped]
        if not options.verify_pruned:
            continue
        copies = out / PRUNED / as_folder(benchmark) / as_folder(network)
        for path in sorted(copies.glob("*/run.json")):
            of_it = f"{where} at sparsity {path.parent.name}"
            its = provenance_of(read_manifest(path.parent))
            skipped += [(f"{of_it}: {image}", reason) for image, reason in its.skipped]
    return Provenance(settings, list(sessions.values()), skipped)
