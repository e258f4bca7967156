"""``prefiqs report``."""

import argparse
from pathlib import Path
from typing import Any

from prefiqs_jax.cli.options import add_quiet
from prefiqs_jax.files import check_out
from prefiqs_jax.terminal import show


def add_report(commands: Any) -> None:
    """Add ``report`` to the commands."""
    report = commands.add_parser(
        "report", help="write tables, figures and report.html of a run"
    )
    report.add_argument("run_folder", metavar="RUN")
    report.add_argument("--images", metavar="DIR", help="if the faces have moved")
    report.add_argument(
        "--strata",
        metavar="COLUMN[,…]",
        help="look within groups of images, too: columns of the rows or of images.csv, "
        "or drift-quartile (default: severity or degradation, where known)",
    )
    add_quiet(report)
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    check_out(Path(options.run_folder) / "report", folder=True)
    from prefiqs_jax.demo import is_demo, report_demo
    from prefiqs_jax.report import write_report

    strata = options.strata and [name.strip() for name in options.strata.split(",")]
    if is_demo(options.run_folder):
        found = report_demo(
            options.run_folder, strata=strata, progress=not options.quiet
        )
        show(str(found.page))
        return
    path = write_report(
        options.run_folder,
        images=options.images,
        strata=strata,
        progress=not options.quiet,
    )
    show(str(path))
