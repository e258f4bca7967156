"""Rows of many masks on one network: clean faces, and a degraded copy of each.

    python experiments/sweep_masks.py FACES --out RUN --backbone sface --weights FILE
    python experiments/sweep_masks.py FACES --out RUN --backbone demo
    python analysis/mask_ablation.py RUN … --out DIR

Some images of each person are measured, clean and degraded; scores that need data are
calibrated on that person's other images, clean. All masks share one dense pass over
each batch. Killed, the same command goes on.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.benchmarks import degraded_folder
from prefiqs_jax.cli.options import natural, positive, read_sparsities
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, sweep

MASKS = (
    "global/magnitude",
    "global/random",
    "filters/l1",
    "output/wanda",
    "global/wanda",
    "global/snip",
    "global/fisher",
    "global/obd",
    "global/synflow",
    "global/contribution",
    "global/inverse-contribution",
)
# From where random masks break to beyond where magnitude does.
SPARSITIES = "0.001,0.01,0.03,0.1,0.2,0.4,0.7"


def split(folder: ImageFolder, measured: int) -> tuple[ImageFolder, ImageFolder]:
    """Take the first images of each person to measure, the others to calibrate.

    Raises
    ------
    InputError
        If an identity is unknown, or nothing is left to calibrate on.
    """
    own: dict[str, list[int]] = defaultdict(list)
    for place, who in enumerate(folder.identities):
        if who is None:
            message = (
                f"{folder.root}: nobody says who is in {folder.names[place]}; give a "
                "folder with identities"
            )
            raise InputError(message)
        own[who].append(place)
    first = [place for places in own.values() for place in places[:measured]]
    rest = [place for places in own.values() for place in places[measured:]]
    if not rest:
        message = (
            f"{folder.root}: nobody has more than {measured} images, so none is left "
            "to calibrate on; give a smaller --measured"
        )
        raise InputError(message)
    return folder.take(first), folder.take(rest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the run; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        measured, calibration = split(read_folder(options.faces), options.measured)
        both, _, _ = degraded_folder(measured, seed=options.seed)
        sweep(
            load_backbone(options.backbone, options.weights),
            both,
            [mask_named(n, seed=options.seed) for n in options.masks.split(",")],
            read_sparsities(options.sparsities),
            options.out,
            options=SweepOptions(
                calibration=calibration,
                batch_size=options.batch_size,
                command=sys.argv if arguments is None else list(arguments),
                progress=not options.quiet,
            ),
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("faces", type=Path, metavar="FACES", help="aligned faces")
    parser.add_argument("--out", type=Path, metavar="RUN", required=True)
    parser.add_argument("--backbone", metavar="NAME")
    parser.add_argument("--weights", metavar="FILE")
    parser.add_argument("--masks", metavar="A,B,…", default=",".join(MASKS))
    parser.add_argument("--sparsities", metavar="LIST", default=SPARSITIES)
    parser.add_argument(
        "--measured",
        type=positive,
        metavar="N",
        default=2,
        help="images of each person to measure (default: %(default)s)",
    )
    parser.add_argument("--batch-size", type=positive, metavar="N", default=16)
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


if __name__ == "__main__":
    sys.exit(main())
