"""Redraw every figure of the paper-style report from runs, at column width.

    python paper_figures/draw.py RUN [RUN ...] --out DIR

Several runs share ``statistics.pdf``; the other figures are drawn run by run, as PDF
and PNG. Every number is in a CSV beside them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prefiqs_jax import plots, results
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.report.csv_tables import table_files
from prefiqs_jax.report.figures import IN_PRINT, draw_agreement, draw_figures
from prefiqs_jax.report.tables import run_tables
from prefiqs_jax.report.write import FLOAT_FORMAT
from prefiqs_jax.statistics import gathered

NAMES = {
    "drift_against_first_order": "drift",
    "relative_residual": "relative_residual",
    "drift_beside_first_order": "distribution",
    "layer_sparsity": "layers",
}
"""The report's figures that are drawn here, and the ends of their files' names."""


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
            known = results.with_image_columns(rows)
            tables = run_tables(rows, known, results.read_manifest(run))
            for words in gathered(tables["statistics"]):
                print(f"{name}: {words}", file=sys.stderr)
            summaries.append(tables["statistics"])
            labels.append(f"{rows['backbone'].iloc[0]}, {rows['mask'].iloc[0]}")
            drawings = [
                drawing._replace(name=NAMES[drawing.name])
                for drawing in draw_figures(tables, IN_PRINT)
                if drawing.name in NAMES
            ]
            files |= table_files(tables, f"{name}_", FLOAT_FORMAT)
            files |= plots.figure_files(drawings, f"{name}_")
        if len(set(labels)) < len(labels):
            labels = names
        together = draw_agreement(summaries, labels, IN_PRINT)._replace(
            name="statistics"
        )
        files |= plots.figure_files([together])
    write_outputs(out, files)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
