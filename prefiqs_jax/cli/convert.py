"""``prefiqs convert``."""

import argparse
from typing import Any

from prefiqs_jax.cli.options import PIXELS_HELP, add_dense
from prefiqs_jax.files import check_out
from prefiqs_jax.terminal import say, show


def add_convert(commands: Any) -> None:
    """Add ``convert`` to the commands."""
    convert = commands.add_parser(
        "convert", help="convert a checkpoint to .safetensors that says what it is"
    )
    convert.add_argument("source", metavar="SOURCE")
    convert.add_argument("destination", metavar="DEST.safetensors")
    convert.add_argument("--backbone", metavar="NAME")
    convert.add_argument("--pixels", metavar="CHANNELS,MEAN,STD", help=PIXELS_HELP)
    add_dense(convert)
    convert.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> None:
    check_out(options.destination)
    from prefiqs_jax.backbones import convert_weights

    provenance = convert_weights(
        options.source,
        options.destination,
        options.backbone,
        pixels=options.pixels,
        dense=options.dense,
    )
    if provenance.prefix:
        say(f"without the prefix {provenance.prefix} of its names")
    for name, why in provenance.ignored.items():
        say(f"ignored {name}: {why}")
    show(f"{options.destination}: from {provenance.source_file}")
