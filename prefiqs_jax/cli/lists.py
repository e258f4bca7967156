"""``prefiqs backbones`` and ``prefiqs masks``: what there is."""

import argparse
from collections.abc import Sequence
from typing import Any


def add_lists(commands: Any) -> None:
    """Add ``backbones`` and ``masks`` to the commands."""
    backbones = commands.add_parser(
        "backbones", help="list the networks, or say all about one"
    )
    backbones.add_argument("name", nargs="?", metavar="NAME")
    backbones.set_defaults(run=_backbones)
    masks = commands.add_parser("masks", help="list the sparsity masks")
    masks.set_defaults(run=_masks)


def _backbones(options: argparse.Namespace) -> None:
    from prefiqs_jax.backbones.zoo import describe, details

    _print_table(details(options.name) if options.name else describe())


def _masks(options: argparse.Namespace) -> None:
    del options
    from prefiqs_jax.masks import mask_names

    _print_table(list(mask_names().items()))
    print("ALLOCATION/FILE.py:SCORE  your own score: a function of (name, weights)")
    print("FILE.py:MASK  your own mask: a function of (params, sparsity)")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
