"""``prefiqs convert``."""

import argparse
import sys
from typing import Any

from prefiqs_jax.cli.options import PIXELS_HELP, add_dense


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
    from prefiqs_jax.backbones import convert_weights

    provenance = convert_weights(
        options.source,
        options.destination,
        options.backbone,
        pixels=options.pixels,
        dense=options.dense,
    )
    if provenance.prefix:
        print(f"without the prefix {provenance.prefix} of its names", file=sys.stderr)
    for name, why in provenance.ignored.items():
        print(f"ignored {name}: {why}", file=sys.stderr)
    print(f"{options.destination}: from {provenance.source_file}")
