"""Redraw every figure of the paper-style report from runs, as PDF at column width.

    python paper_figures/draw.py RUN [RUN ...] --out DIR

Several runs share ``statistics.pdf``; the other figures are drawn run by run. Every
number is in a CSV beside them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from prefiqs_jax import plots, results
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots.saving import render
from prefiqs_jax.report.rounded import rounding_of
from prefiqs_jax.report.tables import (
    image_table,
    layer_matrix,
    layer_table,
    mask_table,
)
from prefiqs_jax.statistics import gathered, quantiles, summarise


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        draw(options.runs, options.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def draw(runs: Sequence[Path], out: Path) -> None:
    """Write tables and figures of all runs into one folder."""
    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        message = f"{', '.join(names)}: two runs have one name; rename one folder"
        raise InputError(message)
    files: dict[str, str | bytes] = {}
    summaries, labels = [], []
    with plots.theme():
        for run, name in zip(runs, names, strict=True):
            rows = results.read(run)
            manifest = results.read_manifest(run)
            rounding = rounding_of(manifest)
            summary = summarise(results.with_image_columns(rows), rounding=rounding)
            for words in gathered(summary):
                print(f"{name}: {words}", file=sys.stderr)
            summaries.append(summary)
            labels.append(f"{rows['backbone'].iloc[0]}, {rows['mask'].iloc[0]}")
            layers = layer_table(manifest)
            tables = {
                "images": image_table(rows, rounding),
                "statistics": summary,
                "quantiles": quantiles(rows),
                "mask": mask_table(rows, manifest),
                "layers": layers,
            }
            for table_name, table in tables.items():
                text = table.to_csv(index=False, float_format="%.9g")
                files[f"{name}_{table_name}.csv"] = text
            for figure_name, figure in _figures_of(tables):
                files[f"{name}_{figure_name}.pdf"] = render(figure)[1]
        if len(set(labels)) < len(labels):
            labels = names
        figure = Figure(figsize=(plots.PAGE_IN, 3.5))
        plots.agreement_panels(figure, summaries, labels)
        files["statistics.pdf"] = render(figure)[1]
    write_outputs(out, files)
    print(out)


def _figures_of(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, Figure]]:
    images = tables["images"]
    moved = images.loc[~images["below_rounding"]]
    if len(moved):
        page = Figure(figsize=(plots.PAGE_IN, 3))
        yield "drift", plots.drift_panels(page, moved, tables["statistics"])
    column = Figure(figsize=(plots.COLUMN_IN, 2.7))
    plots.relative_residual_against_sparsity(
        column.add_subplot(), tables["quantiles"], tables["statistics"]
    )
    yield "relative_residual", column
    column = Figure(figsize=(plots.COLUMN_IN, 2.7))
    plots.residual_against_sparsity(column.add_subplot(), tables["quantiles"])
    yield "residual", column
    column = Figure(figsize=(plots.COLUMN_IN, 2.4))
    plots.drift_distribution(column.add_subplot(), images)
    yield "distribution", column
    if len(tables["layers"]):
        names, sizes, sparsities, achieved = layer_matrix(tables["layers"])
        page = Figure(figsize=(plots.PAGE_IN, min(9.0, 1.2 + 0.135 * len(names))))
        ax = page.add_subplot()
        plots.layer_sparsity_map(ax, names, sizes, sparsities, achieved)
        yield "layers", page


if __name__ == "__main__":
    sys.exit(main())
