"""``prefiqs edc``."""

import argparse
from typing import TYPE_CHECKING, Any

from prefiqs_jax.cli.options import (
    Choices,
    add_calibration,
    add_identity_level,
    add_mask,
    add_on_bad_image,
    add_out,
    add_precision,
    add_quiet,
    add_seed,
    add_weights,
    check_weights,
    load_network,
    natural,
    positive,
    read_calibration,
    read_numbers,
    read_prunable,
    read_sparsities,
)
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_out
from prefiqs_jax.terminal import show

if TYPE_CHECKING:
    from prefiqs_jax.evaluation import ScoreSource

DEFAULT_METHODS = "prefiqs,first-order,norm,random"
DEFAULT_SPARSITIES = "0.1,0.2,0.3,0.4,0.5"
# Fields of EvaluationOptions that are called as the option is.
_PASSED_ON = ("protocol", "max_discard", "reference", "replicates", "seed", "flip")
_PASSED_ON += (
    "verify_pruned",
    "template_quality",
    "precision",
    "batch_size",
    "on_bad_image",
)


def add_edc(commands: Any) -> None:
    """Add ``edc`` to the commands."""
    edc = commands.add_parser(
        "edc",
        help="see whether qualities predict recognition errors",
        description="Verify the images of benchmarks, score them by several "
        "qualities, and draw error-versus-discard curves with areas and intervals. "
        "Run it again to continue.",
    )
    _add_networks(edc)
    _add_benchmarks(edc)
    _add_qualities(edc)
    _add_evaluation(edc)
    add_out(edc, metavar="DIR", required=True, help="tables, figures, report.html")
    add_quiet(edc)
    edc.set_defaults(run=_edc)


def _add_networks(edc: argparse.ArgumentParser) -> None:
    group = edc.add_argument_group("networks")
    add_weights(group)
    group.add_argument(
        "--verifier",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="another network that verifies, with the scores of the first "
        "(cross-model); may be given several times",
    )
    group.add_argument(
        "--each-scores",
        action="store_true",
        help="the other networks score for themselves, too (same-model)",
    )
    group.add_argument(
        "--flip",
        action="store_true",
        help="embed each image and its mirror image, one after the other, as "
        "CR-FIQA's evaluation does; only then is protocol crfiqa what its code gives",
    )
    group.add_argument(
        "--verify-pruned",
        action="store_true",
        help="let each network verify when it is pruned by --mask, too, at each of "
        "--sparsities: a forward pass more for each",
    )
    add_precision(group)
    group.add_argument("--batch-size", type=positive, metavar="N")


def _add_benchmarks(edc: argparse.ArgumentParser) -> None:
    group = edc.add_argument_group("benchmarks")
    group.add_argument(
        "--benchmark",
        metavar="[NAME=]PATH",
        action="append",
        required=True,
        help="folder of faces with identities, pairs.txt, .bin, pairs.csv, folder of "
        "CR-FIQA, of IJB-C; may be given several times",
    )
    kind = group.add_argument(
        "--kind", help="what the benchmarks are, where that cannot be seen: %(known)s"
    )
    vars(kind)["known"] = Choices("prefiqs_jax.benchmarks", "KINDS")
    group.add_argument(
        "--images", metavar="DIR", help="of a benchmark that is a list of pairs"
    )
    add_identity_level(group)
    group.add_argument(
        "--degraded",
        type=natural,
        default=0,
        metavar="N",
        help="add N degraded copies of every image, of known severity; for folders "
        "of faces (default: 0)",
    )
    add_on_bad_image(group)
    group.add_argument(
        "--template-quality",
        choices=("min", "mean", "max"),
        default="min",
        help="of the images of a template (default: min)",
    )


def _add_qualities(edc: argparse.ArgumentParser) -> None:
    group = edc.add_argument_group("qualities")
    group.add_argument(
        "--scores",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help="score file of any program, or run of prefiqs sweep; may be given several "
        "times, and replaces --methods unless that is given as well",
    )
    group.add_argument(
        "--direction",
        metavar="NAME=lower",
        action="append",
        default=[],
        help="which scores of a file are the better ones (default: higher)",
    )
    group.add_argument(
        "--column",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="of a score file that is a table",
    )
    methods = group.add_argument(
        "--methods",
        metavar="LIST",
        help=f"qualities to compute: %(known)s (default: {DEFAULT_METHODS})",
    )
    vars(methods)["known"] = Choices("prefiqs_jax.quality", "method_names")
    group.add_argument(
        "--sparsities",
        metavar="LIST",
        default=DEFAULT_SPARSITIES,
        help="of prefiqs, first-order and --verify-pruned (default: %(default)s)",
    )
    add_mask(group)
    add_calibration(group)


def _add_evaluation(edc: argparse.ArgumentParser) -> None:
    group = edc.add_argument_group("evaluation")
    group.add_argument(
        "--fmr",
        metavar="LIST",
        default="0.001,0.0001",
        help="false match rates (default: %(default)s)",
    )
    group.add_argument(
        "--protocol",
        choices=Choices("prefiqs_jax.fiqa", "PROTOCOLS"),
        metavar="NAME",
        default="crfiqa",
        help="crfiqa: as tables in the wake of CR-FIQA (equal to its code with "
        "--flip); fiqat: mated comparisons at a fixed threshold; proportional: the "
        "same share of either kind at a fixed threshold (default: crfiqa)",
    )
    group.add_argument(
        "--max-discard",
        type=float,
        default=0.3,
        metavar="F",
        help="fraction of comparisons up to which areas go (default: 0.3)",
    )
    group.add_argument(
        "--reference",
        metavar="QUALITY",
        help="to which the others are compared (default: the first)",
    )
    group.add_argument(
        "--replicates",
        type=natural,
        default=500,
        metavar="N",
        help="replicates for the intervals: each leaves out one identity, or with many "
        "identities is one of the bootstrap; at most so many, 0 = no intervals "
        "(default: 500)",
    )
    add_seed(group)


def _edc(options: argparse.Namespace) -> None:
    check_weights(options.backbone, options.weights)
    check_out(options.out, folder=True)
    prunable = read_prunable(options.prunable)
    sparsities = read_sparsities(options.sparsities)
    rates = read_numbers(options.fmr, "false match rate", "(0, 1)")
    sources = _sources(options)
    methods = options.methods
    if methods is None:
        methods = "" if sources else DEFAULT_METHODS
    from prefiqs_jax.evaluation import EvaluationOptions, Verifier, evaluate
    from prefiqs_jax.evaluation.benchmarks import open_benchmarks

    named = ("kind", "images", "identity_level", "degraded", "seed", "on_bad_image")
    benchmarks = open_benchmarks(
        [_named(text) for text in options.benchmark],
        **{name: getattr(options, name) for name in named},
    )
    from prefiqs_jax.backbones import load_backbone
    from prefiqs_jax.masks import mask_named

    mask = mask_named(options.mask, seed=options.seed, prunable=prunable)
    networks = [load_network(options)]
    calibration, earlier = read_calibration(options)
    for text in options.verifier:
        name, weights = _named(text)
        networks.append(load_backbone(name, weights))
    found = evaluate(
        [
            Verifier(network, scores=index == 0 or options.each_scores)
            for index, network in enumerate(networks)
        ],
        benchmarks,
        options.out,
        methods=[word.strip() for word in methods.split(",") if word.strip()],
        sources=sources,
        mask=mask,
        sparsities=sparsities,
        options=EvaluationOptions(
            fmr=tuple(rates),
            calibration=calibration,
            earlier=earlier,
            command=options.words,
            progress=not options.quiet,
            **{name: getattr(options, name) for name in _PASSED_ON},
        ),
    )
    show(*found.lines, f"More: {found.page}")


def _sources(options: argparse.Namespace) -> "list[ScoreSource]":
    """Read what is said of score files, by the names of their qualities."""
    from pathlib import Path

    from prefiqs_jax.evaluation import ScoreSource

    said: dict[str, dict[str, str]] = {"direction": {}, "column": {}}
    for option, values in said.items():
        for text in getattr(options, option):
            name, value = _named(text)
            if name is None:
                message = f"--{option} {text}: say of which scores, as NAME={text}"
                raise InputError(message)
            if option == "direction" and value not in ("higher", "lower"):
                message = f"--direction {text}: the value is higher or lower"
                raise InputError(message)
            values[name] = value
    sources = []
    for text in options.scores:
        name, path = _named(text)
        if not Path(path).exists():
            message = f"there is no score file {path}; give --scores [NAME=]FILE"
            raise InputError(message)
        key = name or Path(path).stem
        column, way = (said[each].pop(key, None) for each in ("column", "direction"))
        sources.append(ScoreSource(Path(path), name, column, way))  # type: ignore[arg-type]
    for option, values in said.items():
        if values:
            name = next(iter(values))
            message = f"--{option} {name}=…: no --scores has this name"
            raise InputError(message)
    return sources


def _named(text: str) -> tuple[str | None, str]:
    """Split NAME=VALUE; a path with an equals sign in it exists as it stands."""
    from pathlib import Path

    name, sign, value = text.partition("=")
    if not sign or "/" in name or Path(text).exists():
        return None, text
    return name, value
