"""``prefiqs score``."""

import argparse
from typing import Any

from prefiqs_jax.cli.options import (
    add_calibration,
    add_faces,
    add_mask,
    add_precision,
    add_seed,
    check_weights,
    load_network,
    open_folder,
    positive,
    read_calibration,
    read_prunable,
)
from prefiqs_jax.files import check_out, clear_beside
from prefiqs_jax.terminal import STDOUT, say, show


def add_score(commands: Any) -> None:
    """Add ``score`` to the commands."""
    score = commands.add_parser(
        "score",
        help="write the PreFIQs quality of every image",
        description="Write image, quality and drift; quality = 1 - drift / 2.",
    )
    add_faces(score)
    add_mask(score)
    add_calibration(score)
    add_seed(score)
    score.add_argument("--sparsity", type=float, default=0.4, help="default: 0.4")
    score.add_argument(
        "--out", metavar="FILE", required=True, help="- for standard output"
    )
    score.add_argument("--format", choices=("csv", "path-score"), default="csv")
    score.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="images at a time (default: 32 on a CPU, 128 elsewhere)",
    )
    add_precision(score)
    score.set_defaults(run=_score)


def _score(options: argparse.Namespace) -> None:
    check_weights(options.backbone, options.weights)
    prunable = read_prunable(options.prunable)
    from prefiqs_jax.masks import mask_named
    from prefiqs_jax.masks.allocation import check_sparsity

    check_sparsity(options.sparsity)
    if options.out != STDOUT:
        check_out(options.out)
        clear_beside(options.out)
    mask = mask_named(options.mask, seed=options.seed, prunable=prunable)
    folder = open_folder(options.images, options, identities_matter=False)
    from prefiqs_jax.quality import score

    calibration, earlier = read_calibration(options)
    count = score(
        load_network(options),
        folder,
        mask,
        options.out,
        sparsity=options.sparsity,
        layout=options.format,
        batch_size=options.batch_size,
        precision=options.precision,
        on_bad_image=options.on_bad_image,
        calibration=calibration,
        earlier=earlier,
        progress=not options.quiet,
    )
    if options.out == STDOUT:
        say(f"{count} scores (higher = better)")
    else:
        show(f"{count} scores in {options.out} (higher = better)")
