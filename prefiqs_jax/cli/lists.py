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
    masks = commands.add_parser(
        "masks", help="list the sparsity masks, or say all about one"
    )
    masks.add_argument("name", nargs="?", metavar="NAME")
    masks.set_defaults(run=_masks)


def _backbones(options: argparse.Namespace) -> None:
    from prefiqs_jax.backbones.zoo import describe, details

    print(*aligned(details(options.name) if options.name else describe()), sep="\n")


def _masks(options: argparse.Namespace) -> None:
    from prefiqs_jax.masks import ALLOCATIONS
    from prefiqs_jax.masks.named import describe_mask
    from prefiqs_jax.masks.scores import find_score, score_names

    if options.name:
        print(*aligned(describe_mask(options.name)), sep="\n")
        return
    print("A mask is ALLOCATION/SCORE, such as global/magnitude.\n\nallocations")
    named = [(f"  {a.name}", a.description) for a in ALLOCATIONS.values()]
    print(*aligned([*named, ("  N:M, blocksRxC", "the same in other sizes")]), sep="\n")
    print("\nscores")
    entries = [find_score(name) for name in score_names()]
    told = [(f"  {e.name}", e.description, f"[{e.cost}]") for e in entries]
    print(*aligned(told), sep="\n")
    own = "a function of (name, weights), or of (name, weights, context)"
    print(f"  FILE.py:SCORE  your own: {own}")
    print("\nFILE.py:MASK  your own rule: a function of (params, sparsity)")
