"""``prefiqs backbones`` and ``prefiqs masks``: what there is."""

import argparse
from typing import Any

from prefiqs_jax.terminal import show
from prefiqs_jax.weights.wording import aligned, in_columns

# Widths of columns; with the indent and the gaps no line is longer than 100.
_DETAILS = (10, 86)
_NETWORKS = (27, 37, 32)
_ALLOCATIONS = (14, 80)
_SCORES = (20, 46, 26)
_OWN = (24, 70)
_HEAD = """\
A mask is ALLOCATION/SCORE, such as global/magnitude: the score ranks weights, and the
allocation says how many go where. prefiqs masks NAME shows formula, source and cost.

allocations: where the weights are taken from"""


def add_lists(commands: Any) -> None:
    """Add ``backbones`` and ``masks`` to the commands."""
    backbones = commands.add_parser(
        "backbones", help="list the networks, or those of a name, or say all about one"
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

    name = (options.name or "").lower()
    rows = [row for row in describe() if name in row[0].lower()]
    if not rows or name in (row[0].lower() for row in rows):
        show(*aligned(details(options.name)))
    else:
        told = [
            (name, "; ".join(filter(None, (what, dim, *rest))), pixels)
            for name, what, pixels, dim, *rest in rows
        ]
        show(*in_columns(told, _NETWORKS, ""))


def _masks(options: argparse.Namespace) -> None:
    from prefiqs_jax.masks import ALLOCATIONS
    from prefiqs_jax.masks.named import describe_mask
    from prefiqs_jax.masks.scores import find_score, score_names

    if options.name:
        rows = describe_mask(options.name)
        show(*in_columns(rows, _DETAILS, ""))
        return
    show(*_HEAD.splitlines())
    named = [(a.name, a.description) for a in ALLOCATIONS.values()]
    others = ("N:M, blocksRxC", "the same in other sizes, such as 2:8 or blocks8x8")
    show(*in_columns([*named, others], _ALLOCATIONS))
    show("", "scores: which weights go first, and what that costs")
    entries = [find_score(name) for name in score_names()]
    told = [(e.name, e.description, e.cost) for e in entries]
    show(*in_columns(told, _SCORES))
    show("", "your own, in a file")
    own = [
        ("ALLOCATION/FILE.py:SCORE", "a function of (name, weights), or of (name, "
         "weights, context)"),
        ("FILE.py:MASK", "a rule that is no ranking: a function of (params, sparsity), "
         "or of (params, sparsity, context)"),
    ]  # fmt: skip
    show(*in_columns(own, _OWN))
