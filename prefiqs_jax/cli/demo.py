"""``prefiqs demo``."""

import argparse
from typing import Any

from prefiqs_jax.cli.options import add_out, add_quiet, add_seed, read_numbers
from prefiqs_jax.terminal import show


def add_demo(commands: Any) -> None:
    """Add ``demo`` to the commands."""
    demo = commands.add_parser(
        "demo",
        help="run the whole experiment on synthetic faces; needs no file",
        description="Render synthetic faces, degrade them to known "
        "severity, sweep nine sparsities with the embedded network, and report how far "
        "the first order holds and whether the quality predicts recognition errors.",
    )
    add_out(
        demo,
        metavar="DIR",
        default="prefiqs_demo",
        help="new folder, or a demo to go on with (default: %(default)s)",
    )
    demo.add_argument(
        "--people", type=int, default=40, metavar="N", help="default: %(default)s"
    )
    demo.add_argument(
        "--severities",
        metavar="LIST",
        default="0.4,0.7,1",
        help="severity levels, each in [0, 1]; the largest is the worst of the "
        "benchmark, too (default: %(default)s)",
    )
    add_seed(demo)
    add_quiet(demo)
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    severities = read_numbers(options.severities, "severity", "[0, 1]")
    from prefiqs_jax.demo import DemoSettings, demo

    settings = DemoSettings(options.seed, options.people, severities)
    found = demo(
        options.out, settings, command=options.words, progress=not options.quiet
    )
    show(*found.lines, f"More: {found.page}")
