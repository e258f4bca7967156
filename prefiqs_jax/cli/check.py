"""``prefiqs check``."""

import argparse
from typing import Any

from prefiqs_jax.cli.options import (
    add_faces,
    check_weights,
    load_network,
    open_folder,
    positive,
)
from prefiqs_jax.terminal import show

MISFIT = 1
"""Exit status: another preprocessing fits clearly better."""


def add_check(commands: Any) -> None:
    """Add ``check`` to the commands."""
    check = commands.add_parser(
        "check",
        help="see whether channels and scaling fit the network on your images",
        description="Compare the stored preprocessing with swapped channels and other "
        "scalings. Exit status 1 says that another one fits clearly better.",
    )
    add_faces(check)
    check.add_argument("--batch-size", type=positive, default=32, metavar="N")
    check.add_argument("--max-images", type=positive, default=300, metavar="N")
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    check_weights(options.backbone, options.weights)
    folder = open_folder(options.images, options)
    from prefiqs_jax.inputcheck import compare_preprocessing, table, verdict

    found = compare_preprocessing(
        load_network(options),
        folder,
        max_images=options.max_images,
        batch_size=options.batch_size,
        on_bad_image=options.on_bad_image,
        progress=not options.quiet,
    )
    show(*table(found), "", *verdict(found))
    return 0 if found.fits else MISFIT
