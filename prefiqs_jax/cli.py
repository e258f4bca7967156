"""The ``prefiqs`` command: parse, load, call the library, report errors in one line.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefiqs_jax.errors import InputError
from prefiqs_jax.version import __version__

if TYPE_CHECKING:
    from prefiqs_jax.aliases import Prunable

USAGE_ERROR = 2
INTERRUPTED = 130
PIXELS_HELP = (
    "what the weights were trained on, instead of what is known of them, such as "
    "BGR,127.5,128: order of channels, and (x - MEAN) / STD of 0 to 255"
)
DEFAULT_SPARSITIES = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for bad input or 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.words = ["prefiqs", *words]
    try:
        options.run(options)
    except InputError as error:
        print(f"prefiqs: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(
            "\nprefiqs: interrupted; finished parts are kept, the same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def _demo(options: argparse.Namespace) -> None:
    severities = _numbers(options.severities, "severity", "[0, 1]")
    from prefiqs_jax.demo import DemoSettings, demo

    settings = DemoSettings(options.seed, options.people, severities)
    found = demo(
        options.out, settings, command=options.words, progress=not options.quiet
    )
    for line in found.lines:
        print(line)
    print(f"More: {found.page}")


def _sweep(options: argparse.Namespace) -> None:
    _check_weights(options)
    prunable = _prunable(options.prunable)
    sparsities = _sparsities(options.sparsities)
    from prefiqs_jax.masks.named import mask_named
    from prefiqs_jax.sweep.planner import parse_bytes

    mask = mask_named(options.mask, seed=options.seed, prunable=prunable)
    limit = parse_bytes(options.memory_limit) if options.memory_limit else None
    from prefiqs_jax.images import read_folder

    folder = read_folder(options.images)
    from prefiqs_jax.backbones.load import load_backbone
    from prefiqs_jax.sweep import SweepOptions, sweep

    sweep(
        load_backbone(options.backbone, options.weights, pixels=options.pixels),
        folder,
        mask,
        sparsities,
        options.out,
        seed=options.seed,
        prunable=prunable,
        prunable_pattern=options.prunable,
        options=SweepOptions(
            batch_size=options.batch_size,
            memory_limit=limit,
            on_bad_image=options.on_bad_image,
            command=options.words,
            progress=not options.quiet,
        ),
    )
    print(f"rows in {options.out}; next: prefiqs report {options.out}")


def _report(options: argparse.Namespace) -> None:
    from prefiqs_jax.demo import is_demo, report_demo
    from prefiqs_jax.report import write_report

    if is_demo(options.run_folder):
        found = report_demo(
            options.run_folder,
            replicates=options.replicates,
            seed=options.seed,
            progress=not options.quiet,
        )
        print(found.page)
        return
    path = write_report(
        options.run_folder,
        images=options.images,
        replicates=options.replicates,
        seed=options.seed,
        progress=not options.quiet,
    )
    print(path)


def _score(options: argparse.Namespace) -> None:
    _check_weights(options)
    prunable = _prunable(options.prunable)
    from prefiqs_jax.masks.allocation import check_sparsity
    from prefiqs_jax.masks.named import mask_named

    check_sparsity(options.sparsity)
    mask = mask_named(options.mask, seed=options.seed, prunable=prunable)
    from prefiqs_jax.images import read_folder

    folder = read_folder(options.images)
    from prefiqs_jax.backbones.load import load_backbone
    from prefiqs_jax.sweep import score

    count = score(
        load_backbone(options.backbone, options.weights, pixels=options.pixels),
        folder,
        mask,
        options.out,
        sparsity=options.sparsity,
        layout=options.format,
        batch_size=options.batch_size,
        on_bad_image=options.on_bad_image,
        progress=not options.quiet,
    )
    print(f"{count} scores in {options.out} (higher = better)")


def _convert(options: argparse.Namespace) -> None:
    from prefiqs_jax.backbones.load import convert_weights

    provenance = convert_weights(
        options.source, options.destination, options.backbone, pixels=options.pixels
    )
    for name, why in provenance.ignored.items():
        print(f"ignored {name}: {why}", file=sys.stderr)
    print(f"{options.destination}: from {provenance.source_file}")


def _backbones(options: argparse.Namespace) -> None:
    from prefiqs_jax.backbones.zoo import describe, details

    _print_table(details(options.name) if options.name else describe())


def _masks(options: argparse.Namespace) -> None:
    del options
    from prefiqs_jax.masks.named import mask_names

    _print_table(list(mask_names().items()))
    print("ALLOCATION/FILE.py:SCORE  your own score: a function of (name, weights)")
    print("FILE.py:MASK  your own mask: a function of (params, sparsity)")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _check_weights(options: argparse.Namespace) -> None:
    if options.weights in (None, "hub"):  # told before a folder of images is read
        from prefiqs_jax.backbones.load import check_choice

        check_choice(options.backbone, options.weights)


def _prunable(pattern: str | None) -> "Prunable":
    import re

    from prefiqs_jax.trees import is_prunable, prunable_matching

    if pattern is None:
        return is_prunable
    try:
        return prunable_matching(pattern)
    except re.error as error:
        message = f"--prunable {pattern!r} is no regular expression: {error}"
        raise InputError(message) from error


def _sparsities(text: str) -> list[float]:
    values = _numbers(text, "sparsity", "[0, 1)")
    for value in values:
        if not 0 <= value < 1:
            message = (
                f"sparsity {value:g} is not a number in [0, 1); give them as "
                "0.1,0.2,0.4"
            )
            raise InputError(message)
    return values


def _numbers(text: str, name: str, allowed: str) -> list[float]:
    values = []
    for word in text.split(","):
        try:
            values.append(float(word))
        except ValueError:
            message = (
                f"{name} {word.strip()!r} is not a number in {allowed}; give them as "
                "0.1,0.2,0.4"
            )
            raise InputError(message) from None
    return values


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")  # noqa: EM101
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")  # noqa: EM101
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prefiqs",
        description="First-order drift (exact JVP) against real pruned drift of face "
        "embeddings, and the face image quality that follows from it.",
    )
    parser.add_argument("--version", action="version", version=f"prefiqs {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="run the whole experiment on synthetic faces; needs no file",
        description="Render people who do not exist, degrade their pictures to known "
        "severity, sweep nine sparsities with the embedded network, and report how far "
        "the first order holds and whether the quality predicts recognition errors.",
    )
    demo.add_argument(
        "--out",
        metavar="DIR",
        default="prefiqs_demo",
        help="new folder, or a demo to go on with (default: %(default)s)",
    )
    demo.add_argument(
        "--people", type=int, default=40, metavar="N", help="default: %(default)s"
    )
    demo.add_argument(
        "--severities",
        metavar="LIST",
        default="0.4,0.7,1",
        help="rungs of the ladders, each in [0, 1]; the largest is the worst of the "
        "benchmark, too (default: %(default)s)",
    )
    demo.add_argument("--seed", type=_natural, default=0, help="default: %(default)s")
    demo.add_argument("--quiet", action="store_true", help="no progress")
    demo.set_defaults(run=_demo)

    network = argparse.ArgumentParser(add_help=False)
    network.add_argument(
        "--backbone",
        metavar="NAME",
        help="network, see prefiqs backbones; not needed for a converted file; onnx "
        "for any other network in an ONNX file",
    )
    network.add_argument(
        "--weights",
        metavar="FILE",
        help="trained weights of the network, or hub to fetch the official ones; not "
        "needed for --backbone demo",
    )
    network.add_argument("--pixels", metavar="CHANNELS,MEAN,STD", help=PIXELS_HELP)
    network.add_argument(
        "--images",
        metavar="DIR",
        required=True,
        help="aligned faces; identities from images.csv or a folder per person",
    )
    network.add_argument(
        "--mask",
        metavar="NAME",
        default="global/magnitude",
        help="see prefiqs masks (default: %(default)s)",
    )
    network.add_argument(
        "--prunable",
        metavar="REGEX",
        help="prune only weights whose name matches (default: all weights of "
        "convolutions and dense layers)",
    )
    network.add_argument(
        "--seed", type=_natural, default=0, help="key of random masks (default: 0)"
    )
    network.add_argument("--batch-size", type=_positive, metavar="N")
    network.add_argument(
        "--on-bad-image",
        choices=("fail", "skip"),
        default="fail",
        help="what to do with a picture that cannot be used (default: fail)",
    )
    network.add_argument("--quiet", action="store_true", help="no progress")

    sweep = commands.add_parser(
        "sweep",
        parents=[network],
        help="measure first-order and real drift over sparsities",
        description="Measure, image by image and sparsity by sparsity, the first-order "
        "drift and the drift of the really pruned network. Run it again to continue.",
    )
    sweep.add_argument(
        "--sparsities",
        metavar="LIST",
        default=DEFAULT_SPARSITIES,
        help="fractions of weights to drop (default: %(default)s)",
    )
    sweep.add_argument("--out", metavar="RUN", required=True, help="folder of the run")
    sweep.add_argument(
        "--memory-limit",
        metavar="AMOUNT",
        help="of the compiled sweep, such as 8GB (default: half of what is free)",
    )
    sweep.set_defaults(run=_sweep)

    report = commands.add_parser(
        "report", help="write tables, figures and report.html of a run"
    )
    report.add_argument("run_folder", metavar="RUN")
    report.add_argument("--images", metavar="DIR", help="if the faces have moved")
    report.add_argument("--replicates", type=_positive, default=2000, metavar="N")
    report.add_argument("--seed", type=_natural, default=0, help="of the bootstrap")
    report.add_argument("--quiet", action="store_true", help="no progress")
    report.set_defaults(run=_report)

    score = commands.add_parser(
        "score",
        parents=[network],
        help="write the PreFIQs quality of every image",
        description="Write image, quality and drift; quality = 1 - drift / 2.",
    )
    score.add_argument("--sparsity", type=float, default=0.4, help="default: 0.4")
    score.add_argument("--out", metavar="FILE", required=True)
    score.add_argument("--format", choices=("csv", "path-score"), default="csv")
    score.set_defaults(run=_score)

    convert = commands.add_parser(
        "convert", help="convert a checkpoint to .safetensors that says what it is"
    )
    convert.add_argument("source", metavar="SOURCE")
    convert.add_argument("destination", metavar="DEST.safetensors")
    convert.add_argument("--backbone", metavar="NAME")
    convert.add_argument("--pixels", metavar="CHANNELS,MEAN,STD", help=PIXELS_HELP)
    convert.set_defaults(run=_convert)

    backbones = commands.add_parser(
        "backbones", help="list the networks, or say all about one"
    )
    backbones.add_argument("name", nargs="?", metavar="NAME")
    backbones.set_defaults(run=_backbones)
    masks = commands.add_parser("masks", help="list the sparsity masks")
    masks.set_defaults(run=_masks)
    return parser


if __name__ == "__main__":
    sys.exit(main())
