"""``prefiqs sweep``."""

import argparse
import contextlib
from typing import Any

from prefiqs_jax.cli.options import (
    Choices,
    add_calibration,
    add_degraded,
    add_faces,
    add_mask,
    add_out,
    add_part_size,
    add_precision,
    add_seed,
    check_file,
    check_weights,
    load_network,
    natural,
    only,
    positive,
    read_calibration,
    read_prunable,
    read_sparsities,
)
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_out
from prefiqs_jax.terminal import say, show

DEFAULT_SPARSITIES = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"
# Fields of SweepOptions that are called as the option is.
_PASSED_ON = ("batch_size", "precision", "devices", "tune", "distributed")
_PASSED_ON += ("on_bad_image",)


def add_sweep(commands: Any) -> None:
    """Add ``sweep`` to the commands."""
    sweep = commands.add_parser(
        "sweep",
        help="measure first-order and real drift over sparsities",
        description="Measure, image by image and sparsity by sparsity, the first-order "
        "drift and the drift of the really pruned network. Run it again to continue.",
    )
    add_faces(sweep)
    add_mask(sweep)
    add_calibration(sweep)
    sweep.add_argument(
        "--delta",
        metavar="FILE",
        help="instead of a mask, another change of the weights: a checkpoint of the "
        "same network (pruned elsewhere, fine-tuned, quantised), or int8, int4, … for "
        "rounding to so many bits",
    )
    add_seed(sweep)
    sweep.add_argument(
        "--sparsities",
        metavar="LIST",
        default=DEFAULT_SPARSITIES,
        help="fractions of weights to drop (default: %(default)s)",
    )
    sweep.add_argument(
        "--with",
        dest="extras",
        metavar="LIST",
        default="",
        help="measure besides, in the same pass: taylor2, taylor3 (the series beyond "
        "first order), kinks (activations that change sign), layers (what each adds to "
        "the first order), controls (other directions of the same norm), validity (how "
        "the remainder grows along the direction), path (its length), expected (first "
        "order of random directions), metric (trace of JᵀJ), pixels (gradient of the "
        "first order by the image)",
    )
    add_out(sweep, metavar="RUN", required=True, help="folder of the run")
    add_degraded(sweep)
    add_part_size(sweep)
    sweep.add_argument(
        "--memory-limit",
        metavar="AMOUNT",
        help="of the compiled sweep on each device, such as 8GB (default: 80 %% of an "
        "accelerator's memory, half of what is free on a CPU)",
    )
    add_precision(sweep, double=True)
    sweep.add_argument(
        "--devices",
        type=positive,
        metavar="N",
        help="how many of this process's devices share a batch (default: all)",
    )
    sweep.add_argument(
        "--tune",
        choices=Choices("prefiqs_jax.sweep.tuning", "TUNE"),
        metavar="WHEN",
        default="auto",
        help="measure which way is fastest here, and remember it: where the run is "
        "long enough to repay it, always, or never (default: auto)",
    )
    several = sweep.add_argument_group(
        "several processes", "All are given the same command and the same RUN."
    )
    several.add_argument(
        "--distributed",
        action="store_true",
        help="this is one of several processes that share the images out; who takes "
        "part is found out on SLURM, Open MPI, Kubernetes and Cloud TPU",
    )
    several.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="elsewhere: a free port of the machine that runs process 0",
    )
    several.add_argument("--process-count", type=positive, metavar="N")
    several.add_argument(
        "--process-index", type=natural, metavar="I", help="from 0 to N - 1"
    )
    sweep.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> None:
    check_weights(options.backbone, options.weights)
    check_out(options.out, folder=True)
    prunable = read_prunable(options.prunable)
    sparsities = read_sparsities(options.sparsities)
    _check_delta(options)
    cluster = (options.coordinator, options.process_count, options.process_index)
    if not options.distributed and any(each is not None for each in cluster):
        message = (
            "--coordinator, --process-count and --process-index say how several "
            "processes meet; give --distributed with them"
        )
        raise InputError(message)
    from prefiqs_jax.execution.memory import parse_bytes
    from prefiqs_jax.sweep.distributed import abort_all_on_error, join

    limit = parse_bytes(options.memory_limit) if options.memory_limit else None
    from prefiqs_jax.images import as_folder

    folder = as_folder(only(options.images), options.identity_level)
    if options.degraded:
        from prefiqs_jax.benchmarks import degraded_folder

        folder = degraded_folder(folder, options.degraded, seed=options.seed)[0]
    from prefiqs_jax.backbones.changes import read_delta
    from prefiqs_jax.masks import mask_named
    from prefiqs_jax.sweep import SweepOptions, sweep

    together: Any = contextlib.nullcontext()
    if options.distributed:
        check_file(options.weights)
        # What follows may ask JAX for a device, a user's own mask included.
        join(*cluster)
        together = abort_all_on_error()
    with together:
        mask: Any = mask_named(options.mask, seed=options.seed, prunable=prunable)
        backbone = load_network(options)
        calibration, earlier = read_calibration(options)
        if options.delta is not None:
            mask = read_delta(
                options.delta,
                backbone,
                prunable,
                options.backbone,
                lambda line: options.quiet or say(line),
            )
            sparsities = []
    sweep(
        backbone,
        folder,
        mask,
        sparsities,
        options.out,
        options=SweepOptions(
            memory_limit=limit,
            command=options.words,
            progress=not options.quiet,
            extras=[word.strip() for word in options.extras.split(",") if word.strip()],
            calibration=calibration,
            earlier=earlier,
            **{name: getattr(options, name) for name in _PASSED_ON},
        ),
    )
    show(f"rows in {options.out}; next: prefiqs report {options.out}")


def _check_delta(options: argparse.Namespace) -> None:
    """Refuse options of a mask beside a change that is none."""
    of_masks = ("--mask", "--sparsities", "--calibration", "--earlier")
    given = [word.partition("=")[0] for word in options.words]
    if options.delta is not None and (found := [o for o in of_masks if o in given]):
        message = (
            f"--delta is another change than a mask, so {found[0]} has no meaning; "
            "leave one of the two out"
        )
        raise InputError(message)
