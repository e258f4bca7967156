"""What the scripts of this folder share: runs in; table, figure and finding out.

A script measures each network and mask of its runs (lines of one table, with intervals
over people), says the result of all of them in two sentences made of those lines, lays
the numbers that matter out, a row for each run and mask, and draws them. With
``--findings`` it also renews its section of a page such as ``docs/findings.md``, and
the table and figure in the folder of that name beside it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from findings_page import renew, section
from in_words import asked, markdown, rows_of
from matplotlib.figure import Figure
from measured import Measured

from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.report.rounded import rounding_of
from prefiqs_jax.results import read, read_manifest, with_image_columns
from prefiqs_jax.statistics import with_derived

if TYPE_CHECKING:
    import pandas as pd


class Analysis(NamedTuple):
    """A question to runs."""

    name: str
    """Name of its files."""
    title: str
    needs: tuple[str, ...]
    """What the runs must have been swept with."""
    measure: Callable[[Any], "pd.DataFrame"]
    """Is given a record that was read: a :class:`Measured`, unless said otherwise."""
    finding: Callable[["pd.DataFrame"], str]
    """Two sentences; is given the lines of all runs."""
    row: Callable[["pd.DataFrame"], dict[str, str]]
    """A row of the section's table, cells by heading; is given the lines of one run,
    mask and value of each column of ``by``."""
    legend: str
    """What the headings mean."""
    draw: Callable[[Figure, "pd.DataFrame"], Figure]
    beside: Callable[[Measured], "pd.DataFrame"] | None = None
    """Another table, of its images."""
    beside_name: str = ""
    by: tuple[str, ...] = ()
    """Columns of which each value has a row of its own in the section's table."""
    front: Callable[["pd.DataFrame"], dict[str, str]] = asked
    """The first cells of a row: what it is of."""


def with_groups(rows: "pd.DataFrame", rounding: float) -> "pd.DataFrame":
    """Add what is derived, which images belong together, and how degraded they are."""
    rows = with_derived(with_image_columns(rows), rounding)
    return rows if "copy_of" in rows else rows.assign(copy_of=rows["image"])


def open_runs(paths: Sequence[Path], needs: Sequence[str]) -> list[Measured]:
    """Read runs, a record for each of their masks.

    Raises InputError if a folder is no run, lacks what is needed, or two have one name.
    """
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        message = "two runs have one name; rename a folder"
        raise InputError(message)
    found = []
    for path, name in zip(paths, names, strict=True):
        manifest = read_manifest(path)
        missing = [n for n in needs if n not in manifest["settings"].get("with", [])]
        if missing:
            words = ",".join(missing)
            message = f"{path} lacks {words}; sweep again with --with {words}"
            raise InputError(message)
        rounding = rounding_of(manifest)
        rows = with_groups(read(path), rounding)
        tables = {n: read(path, n) for n in needs if n in manifest.get("labels", {})}
        for mask, own in rows.groupby("mask", sort=False):
            parts = {n: table.loc[table["mask"] == mask] for n, table in tables.items()}
            found.append(Measured(name, str(mask), own, parts, manifest, rounding))
    return found


def findings(analysis: Analysis, table: "pd.DataFrame") -> list[str]:
    """Say what the lines say: two sentences, a row for each run and mask, a legend."""
    parts = rows_of(table, *analysis.by)
    rows = [analysis.front(part) | analysis.row(part) for part in parts]
    return [analysis.finding(table), markdown(rows), analysis.legend]


def as_kept(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Round numbers as their file does, so that the same comes of either."""

    def rounded(value: float) -> float:
        return float(f"{value:.6g}")

    real = rows.select_dtypes("float").columns
    return rows.assign(**{name: rows[name].map(rounded) for name in real})


def write(
    analysis: Analysis,
    table: "pd.DataFrame",
    out: Path,
    page: Path | None = None,
    beside: "pd.DataFrame | None" = None,
) -> list[str]:
    """Write tables, figure and findings; renew the page's section; return findings."""
    table = as_kept(table)
    said = findings(analysis, table)
    with plots.theme():
        figure = analysis.draw(Figure(figsize=(plots.PAGE_IN, 3)), table)
        drawing = plots.Drawing(analysis.name, figure, analysis.title)
        files = plots.figure_files([drawing])
    words = "\n\n".join(said) + "\n"
    tables = {f"{analysis.name}.csv": table}
    if beside is not None:
        tables[f"{analysis.beside_name}.csv"] = beside
    texts = {
        name: each.to_csv(index=False, float_format="%.6g")
        for name, each in tables.items()
    }
    write_outputs(out, {**texts, f"{analysis.name}.txt": words, **files})
    if page is not None:
        png = f"{analysis.name}.png"
        write_outputs(page.with_suffix(""), {**texts, png: files[png]})
        renew(page, section(analysis.title, analysis.name, said, page.stem))
    return said


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where findings go."""
    parser.add_argument("--out", type=Path, metavar="DIR", required=True)
    parser.add_argument(
        "--findings", type=Path, metavar="FILE.md", help="page whose section is renewed"
    )


def _kept(page: Path | None, name: str, runs: Sequence[Any]) -> list["pd.DataFrame"]:
    """Read the lines of other runs from a table beside the page."""
    import pandas as pd

    path = page and page.with_suffix("") / f"{name}.csv"
    if path is None or not path.exists():
        return []
    try:
        kept = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read ({error}); leave --add out"
        raise InputError(message) from None
    return [kept.loc[~kept["run"].isin([run.run for run in runs])]]


def main(
    analysis: Analysis,
    words: str | None,
    arguments: Sequence[str] | None,
    opened: Callable[[Sequence[Path], Sequence[str]], Sequence[Any]] = open_runs,
) -> int:
    """Write the table, the figure and the finding; return the exit status.

    ``opened`` reads the folders that are given, and makes the records to measure.
    """
    import pandas as pd

    parser = argparse.ArgumentParser(description=(words or "").split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    add_output(parser)
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep the lines of other runs that the table of the page has",
    )
    options = parser.parse_args(arguments)
    try:
        runs = opened(options.runs, analysis.needs)
        page = options.findings if options.add else None
        tables = [analysis.measure(run) for run in runs]
        table = pd.concat([*_kept(page, analysis.name, runs), *tables])
        beside = None
        if analysis.beside is not None:
            kept = _kept(page, analysis.beside_name, runs)
            beside = pd.concat([*kept, *map(analysis.beside, runs)])
        table = table.reset_index(drop=True)
        said = write(analysis, table, options.out, options.findings, beside)
        print("\n\n".join(said))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0
