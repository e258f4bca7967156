"""``python -m paper_figures``: redraw every figure and table from runs.

    python -m paper_figures RUN [RUN ...] --out DIR

Runs are folders of ``prefiqs sweep``, ``prefiqs edc`` and ``prefiqs compare-masks``. Of
each figure there is a PDF, a PNG and its numbers as CSV; of each table LaTeX, Markdown
and CSV; ``index.md`` and ``paper.tex`` show all of it. The same runs give the same
bytes. What no run gives is named and left out.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paper_figures.pages import PAGES, paper_files
from paper_figures.record import Drawn, Item, Missing, Table
from paper_figures.runs import Material, open_runs
from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_out
from prefiqs_jax.outputs import check_outputs, write_outputs
from prefiqs_jax.plugins import held_by_files


def main(arguments: Sequence[str] | None = None) -> int:
    """Redraw; return the exit status: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_figures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        check_out(options.out, folder=True)
        check_outputs(options.out, PAGES)
        redraw(options.runs, options.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out / PAGES[0])
    return 0


def redraw(runs: Sequence[Path], out: Path) -> None:
    """Write every figure and table that the runs give into one folder.

    Raises InputError if a run cannot be read, two runs disagree, nothing can be drawn,
    or a file of the user's is in the way.
    """
    material = open_runs(runs)
    with plots.theme():
        products = make_all(material)
        if not products:
            message = f"nothing can be drawn from {', '.join(map(str, runs))}"
            raise InputError(message)
        files = paper_files(products)
    write_outputs(out, files, all_of_it=True)


def make_all(material: Material) -> list[Drawn | Table]:
    """Make what the material gives, and name what it does not, a line each."""
    items: list[Item] = held_by_files("paper_figures", "ITEM")
    products: list[Drawn | Table] = []
    for item in items:
        try:
            products += item.make(material)
        except Missing as why:
            print(f"{item.name} is left out: {why}", file=sys.stderr)
    return products


if __name__ == "__main__":
    sys.exit(main())
