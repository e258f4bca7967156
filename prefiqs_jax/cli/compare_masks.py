"""``prefiqs compare-masks``."""

import argparse
from typing import Any

from prefiqs_jax.cli.options import (
    add_calibration,
    add_degraded,
    add_faces,
    add_out,
    add_part_size,
    add_precision,
    add_prunable,
    add_seed,
    check_weights,
    load_network,
    only,
    read_calibration,
    read_prunable,
    read_sparsities,
)
from prefiqs_jax.files import check_out
from prefiqs_jax.terminal import show

DEFAULT_SPARSITIES = "0.2,0.4,0.6,0.8"


def add_compare_masks(commands: Any) -> None:
    """Add ``compare-masks`` to the commands."""
    compare = commands.add_parser(
        "compare-masks",
        help="compare masks on the same images: agreement, separation, layers, overlap",
        description="Measure several masks over sparsities with one dense pass for "
        "all, and compare them: tables, figures and a page. Run it again to continue.",
    )
    add_faces(compare)
    compare.add_argument(
        "--masks",
        metavar="A,B,…",
        required=True,
        help="two or more, see prefiqs masks; MASK@0.5 or MASK@0.3+0.5 gives one "
        "sparsities of its own",
    )
    compare.add_argument(
        "--reference",
        metavar="MASK",
        help="mask that the others are compared to (default: the first)",
    )
    add_prunable(compare)
    add_calibration(compare)
    add_seed(compare)
    compare.add_argument(
        "--sparsities",
        metavar="LIST",
        default=DEFAULT_SPARSITIES,
        help="fractions of weights to drop; one that a mask cannot reach, such as 2:4 "
        "any but 0.5, is left out for that mask, and said so (default: %(default)s)",
    )
    add_out(compare, metavar="DIR", required=True, help="folder of it all")
    add_degraded(compare)
    add_part_size(compare)
    add_precision(compare)
    compare.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> None:
    check_weights(options.backbone, options.weights)
    check_out(options.out, folder=True)
    prunable = read_prunable(options.prunable)
    sparsities = read_sparsities(options.sparsities)
    from prefiqs_jax.masks import masks_listed

    masks = masks_listed(options.masks, seed=options.seed, prunable=prunable)
    from prefiqs_jax.images import as_folder

    folder = as_folder(only(options.images), options.identity_level)
    if options.degraded:
        from prefiqs_jax.benchmarks import degraded_folder

        folder = degraded_folder(folder, options.degraded, seed=options.seed)[0]
    from prefiqs_jax.comparison import compare
    from prefiqs_jax.sweep import SweepOptions

    backbone = load_network(options)
    calibration, earlier = read_calibration(options)
    page = compare(
        backbone,
        folder,
        masks,
        sparsities,
        options.out,
        reference=options.reference,
        options=SweepOptions(
            batch_size=options.batch_size,
            precision=options.precision,
            on_bad_image=options.on_bad_image,
            command=options.words,
            progress=not options.quiet,
            calibration=calibration,
            earlier=earlier,
        ),
    )
    show(str(page))
