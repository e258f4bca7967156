"""``prefiqs cite``."""

import argparse
from typing import Any


def add_cite(commands: Any) -> None:
    """Add ``cite`` to the commands."""
    cite = commands.add_parser(
        "cite", help="print the BibTeX of the methods that a run used"
    )
    cite.add_argument(
        "run_folder",
        metavar="RUN",
        help="of prefiqs sweep, compare-masks, edc or demo",
    )
    cite.set_defaults(run=_cite)


def _cite(options: argparse.Namespace) -> None:
    from prefiqs_jax.citing import cite

    cite(options.run_folder)
