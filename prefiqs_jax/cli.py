"""The ``prefiqs`` command: parse, load, call the library, report errors in one line.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence

from prefiqs_jax.arguments import (
    add_identity_level,
    check_weights,
    natural,
    open_folder,
    positive,
    read_numbers,
)
from prefiqs_jax.cli_align import add_align
from prefiqs_jax.cli_edc import add_edc
from prefiqs_jax.cli_sweep import add_score, add_sweep
from prefiqs_jax.errors import InputError
from prefiqs_jax.version import __version__

MISFIT = 1
USAGE_ERROR = 2
INTERRUPTED = 130
PIXELS_HELP = (
    "what the weights were trained on, instead of what is known of them, such as "
    "BGR,127.5,128: order of channels, and (x - MEAN) / STD of 0 to 255"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for bad input, 130 for Ctrl-C, or as told."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.words = ["prefiqs", *words]
    try:
        return options.run(options) or 0
    except InputError as error:
        print(f"prefiqs: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(
            "\nprefiqs: interrupted; finished parts are kept, the same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED


def _demo(options: argparse.Namespace) -> None:
    severities = read_numbers(options.severities, "severity", "[0, 1]")
    from prefiqs_jax.demo import DemoSettings, demo

    settings = DemoSettings(options.seed, options.people, severities)
    found = demo(
        options.out, settings, command=options.words, progress=not options.quiet
    )
    for line in found.lines:
        print(line)
    print(f"More: {found.page}")


def _report(options: argparse.Namespace) -> None:
    from prefiqs_jax.demo import is_demo, report_demo
    from prefiqs_jax.report import write_report

    strata = options.strata and [name.strip() for name in options.strata.split(",")]
    if is_demo(options.run_folder):
        found = report_demo(
            options.run_folder, strata=strata, progress=not options.quiet
        )
        print(found.page)
        return
    path = write_report(
        options.run_folder,
        images=options.images,
        strata=strata,
        progress=not options.quiet,
    )
    print(path)


def _check(options: argparse.Namespace) -> int:
    check_weights(options.backbone, options.weights)
    folder = open_folder(options.images, options)
    from prefiqs_jax.backbones.load import load_backbone
    from prefiqs_jax.inputcheck import compare_preprocessing, table, verdict

    found = compare_preprocessing(
        load_backbone(options.backbone, options.weights, pixels=options.pixels),
        folder,
        max_images=options.max_images,
        batch_size=options.batch_size,
        on_bad_image=options.on_bad_image,
        progress=not options.quiet,
    )
    print("\n".join([*table(found), "", *verdict(found)]))
    return 0 if found.fits else MISFIT


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


def _bench(options: argparse.Namespace) -> int:
    from prefiqs_jax.bench import run_benchmarks, table

    found = run_benchmarks(options.names, quick=options.quick, out=options.out)
    print("\n".join(["", *table(found, goals=not options.quick)]))
    return int(any(outcome.failure for outcome in found))


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


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
    demo.add_argument("--seed", type=natural, default=0, help="default: %(default)s")
    demo.add_argument("--quiet", action="store_true", help="no progress")
    demo.set_defaults(run=_demo)

    faces = argparse.ArgumentParser(add_help=False)
    faces.add_argument(
        "--backbone",
        metavar="NAME",
        help="network, see prefiqs backbones; not needed for a converted file; onnx "
        "for any other network in an ONNX file",
    )
    faces.add_argument(
        "--weights",
        metavar="FILE",
        help="trained weights of the network, or hub to fetch the official ones; not "
        "needed for --backbone demo",
    )
    faces.add_argument("--pixels", metavar="CHANNELS,MEAN,STD", help=PIXELS_HELP)
    faces.add_argument(
        "--images",
        metavar="DIR",
        required=True,
        help="aligned faces; identities from images.csv or a folder per person",
    )
    add_identity_level(faces)
    faces.add_argument(
        "--on-bad-image",
        choices=("fail", "skip"),
        default="fail",
        help="what to do with a picture that cannot be used (default: fail)",
    )
    faces.add_argument("--quiet", action="store_true", help="no progress")
    network = argparse.ArgumentParser(add_help=False, parents=[faces])
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
        "--seed", type=natural, default=0, help="key of random masks (default: 0)"
    )

    add_sweep(commands, network)

    report = commands.add_parser(
        "report", help="write tables, figures and report.html of a run"
    )
    report.add_argument("run_folder", metavar="RUN")
    report.add_argument("--images", metavar="DIR", help="if the faces have moved")
    report.add_argument(
        "--strata",
        metavar="COLUMN[,…]",
        help="look within groups of images, too: columns of the rows or of images.csv, "
        "or drift-quartile (default: severity or degradation, where known)",
    )
    report.add_argument("--quiet", action="store_true", help="no progress")
    report.set_defaults(run=_report)

    add_score(commands, network)
    add_edc(commands)
    add_align(commands)

    check = commands.add_parser(
        "check",
        parents=[faces],
        help="see whether channels and scaling fit the network on your pictures",
        description="Compare the stored preprocessing with swapped channels and other "
        "scalings. Exit status 1 says that another one fits clearly better.",
    )
    check.add_argument("--batch-size", type=positive, default=32, metavar="N")
    check.add_argument("--max-images", type=positive, default=300, metavar="N")
    check.set_defaults(run=_check)

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
    bench = commands.add_parser(
        "bench",
        help="run the repository's benchmarks, print a table of ratios",
        description="Run the benchmarks of the repository on this machine and print "
        "what they found as ratios: forward, sweep_cost, precision, pipeline, scaling, "
        "ranking, quality_cost, edc. Exit status 1 says that one of them failed.",
    )
    bench.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    bench.add_argument("--quick", action="store_true", help="only see that they run")
    bench.add_argument(
        "--out",
        metavar="DIR",
        help="of the JSON files (default: beside the scripts; --quick keeps none)",
    )
    bench.set_defaults(run=_bench)
    return parser


if __name__ == "__main__":
    sys.exit(main())
