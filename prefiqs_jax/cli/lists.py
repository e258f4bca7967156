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
    masks = commands.add_parser(
        "masks", help="list the sparsity masks, or say all about one"
    )
    masks.add_argument("name", nargs="?", metavar="NAME")
    masks.set_defaults(run=_masks)


def _backbones(options: argparse.Namespace) -> None:
    from prefiqs_jax.backbones.zoo import describe, details

    _print_table(details(options.name) if options.name else describe())


def _masks(options: argparse.Namespace) -> None:
    from prefiqs_jax.masks import ALLOCATIONS
    from prefiqs_jax.masks.named import describe_mask
    from prefiqs_jax.masks.scores import find_score, score_names

    if options.name:
        _print_table(describe_mask(options.name))
        return
    print("A mask is ALLOCATION/SCORE, such as global/magnitude.\n\nallocations")
    _print_table([(f"  {a.name}", a.description) for a in ALLOCATIONS.values()])
    print("  N:M, blocksRxC  the same with other numbers\n\nscores")
    entries = [find_score(name) for name in score_names()]
    _print_table([(f"  {e.name}", e.description, f"[{e.cost}]") for e in entries])
    print(
        "  FILE.py:SCORE  your own: a function of (name, weights) or (name, weights, "
    )
    print("\nFILE.py:MASK  your own rule: a function of (params, sparsity)")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
