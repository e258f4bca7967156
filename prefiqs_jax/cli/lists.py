"""``prefiqs backbones`` and ``prefiqs masks``: what there is."""

import argparse
from typing import Any

from prefiqs_jax.weights.wording import aligned


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

    print(*aligned(details(options.name) if options.name else describe()), sep="\n")


def _masks(options: argparse.Namespace) -> None:
    del options
    from prefiqs_jax.masks import mask_names

    print(*aligned(mask_names().items()), sep="\n")
    print("ALLOCATION/FILE.py:SCORE  your own score: a function of (name, weights)")
    print("FILE.py:MASK  your own mask: a function of (params, sparsity)")
