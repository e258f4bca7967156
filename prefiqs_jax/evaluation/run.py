"""A whole evaluation: measure, compare, tabulate, draw."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from prefiqs_jax.benchmarks import Benchmark
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.compare import (
    Comparison,
    compare,
    reversed_qualities,
)
from prefiqs_jax.evaluation.folder import (
    MEASURED,
    claim_evaluation,
    keep_identities,
)
from prefiqs_jax.evaluation.measure import Measured, Task, measure
from prefiqs_jax.evaluation.options import EvaluationOptions, Verifier
from prefiqs_jax.evaluation.page import write_page
from prefiqs_jax.evaluation.pruned import verify_pruned
from prefiqs_jax.evaluation.qualities import (
    Quality,
    ScoreSource,
    check_names,
    from_network,
    from_severity,
    from_source,
)
from prefiqs_jax.evaluation.units import usable_units
from prefiqs_jax.execution.compilation import keep_programs
from prefiqs_jax.files import check_out
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images import as_folder as as_folder_of_images
from prefiqs_jax.masks import AnyMask, NamedMask
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.quality import Scorer, check_methods, make_scorers
from prefiqs_jax.quality.make import SCORED, PreparedMask, prepare_mask
from prefiqs_jax.quality.shared import FIRST_ORDER, PREFIQS
from prefiqs_jax.statistics import NOTHING_CHANGES, ROUNDING_AT
from prefiqs_jax.sweep.planner import default_batch_size
from prefiqs_jax.terminal import say
from prefiqs_jax.weights.wording import listed

if TYPE_CHECKING:
    import pandas as pd

_NONE = np.zeros(0)


class Work(NamedTuple):
    """What a network does with images beside embedding them."""

    scorers: tuple[Scorer, ...]
    mask: PreparedMask | None
    """By which it is pruned to verify; None = it is not."""


Works: TypeAlias = Mapping[str, Work]
"""Of each network, by its name."""


class Evaluated(NamedTuple):
    """Summary and page of an evaluation."""

    lines: list[str]
    """The summary."""
    page: Path
    """``OUT/report.html``."""


def evaluate(
    verifiers: Sequence[Verifier],
    benchmarks: Sequence[Benchmark],
    out: str | os.PathLike[str],
    *,
    methods: Sequence[str] = (),
    sources: Sequence[ScoreSource] = (),
    mask: AnyMask,
    sparsities: Sequence[float] = (0.4,),
    options: EvaluationOptions | None = None,
) -> Evaluated:
    """Evaluate how well each quality predicts the recognition errors of each network.

    Parameters
    ----------
    verifiers
        Networks; the first one's qualities are those of the cross-model protocol.
    benchmarks
        Images and comparisons, under names that differ.
    out
        Folder for ``measured`` (parts; the same call goes on where it was killed),
        ``tables``, ``figures`` and ``report.html``.
    methods
        Qualities to compute, keys of :data:`prefiqs_jax.quality.METHODS`.
    sources
        Score files, and runs of ``prefiqs sweep``.
    mask, sparsities
        Mask and sparsities of the methods ``prefiqs`` and ``first-order``, and of the
        pruned networks that verify (``options.verify_pruned``).
    options
        How to run.

    Returns
    -------
    Evaluated
        Summary and page.

    Raises
    ------
    InputError
        If a benchmark, image, score, setting or network cannot be used. What has been
        measured is kept.
    """
    options = options or EvaluationOptions()
    options.check()
    check_out(out, folder=True)
    keep_programs()
    _check_names(verifiers, benchmarks)
    if not methods and not sources:
        message = "no qualities are given; give methods to compute, or score files"
        raise InputError(message)
    if methods:
        check_methods(methods)
    if options.verify_pruned and not any(sparsities):
        message = "no sparsity above 0 is given; give some to verify pruned networks at"
        raise InputError(message)
    given = {  # before any image is embedded
        benchmark.name: [
            quality
            for source in sources
            for quality in from_source(source, benchmark.images)
        ]
        for benchmark in benchmarks
    }
    mask = as_named(mask)
    count = max(len(benchmark.images.names) for benchmark in benchmarks)
    size = min(options.batch_size or default_batch_size(count), count)

    def work_with(images: ImageFolder | None) -> Works:
        given: dict[str, Any] = {
            "calibration": images,
            "calibration_source": SCORED if options.calibration is None else "given",
            "earlier": options.earlier,
            "on_bad_image": options.on_bad_image,
        }
        made = {}
        for verifier in verifiers:
            backbone, prepared, scorers = verifier.backbone, None, ()
            if options.verify_pruned:
                prepared = prepare_mask(backbone, mask, sparsities, **given)
            if verifier.scores and methods:
                scorers = make_scorers(
                    backbone,
                    methods,
                    batch_size=size,
                    sparsities=sparsities,
                    mask=mask if prepared is None else prepared,
                    precision=options.precision,
                    seed=options.seed,
                    **given,
                )
            made[backbone.name] = Work(scorers, prepared)
        return made

    work = _by_benchmark(benchmarks, mask, work_with, options)
    for benchmark in benchmarks:
        its = work[benchmark.name]
        _check_qualities(benchmark, given[benchmark.name], its, options)
    every = (quality for its in given.values() for quality in its)
    say(*dict.fromkeys(note for quality in every for note in quality.notes))
    with claim_evaluation(out):
        found: list[Comparison] = []
        pruned: list[pd.DataFrame] = []
        for benchmark in benchmarks:
            tasks = _tasks(verifiers, benchmark, work[benchmark.name], size, options)
            measured = _measure(tasks, benchmark, Path(out), options)
            its = given[benchmark.name]
            found += _compare_all(benchmark, measured, methods, its, options)
            for task in tasks:
                prepared = work[benchmark.name][task.backbone.name].mask
                if prepared is not None:
                    pruned.append(
                        verify_pruned(
                            task, prepared, benchmark, measured, Path(out), options
                        )
                    )
        return Evaluated(
            *write_page(Path(out), found, pruned, verifiers, methods, options)
        )


def _by_benchmark(
    benchmarks: Sequence[Benchmark],
    mask: NamedMask,
    work_with: Callable[[ImageFolder | None], Works],
    options: EvaluationOptions,
) -> dict[str, Works]:
    """Rank and compile once, or for each benchmark whose images calibrate the mask."""
    if mask.needs_data and not mask.is_bound and options.calibration is None:
        return {each.name: work_with(each.images) for each in benchmarks}
    images = None
    if options.calibration is not None:
        images = as_folder_of_images(options.calibration, identities_matter=False)
    shared = work_with(images)
    return {each.name: shared for each in benchmarks}


def _tasks(
    verifiers: Sequence[Verifier],
    benchmark: Benchmark,
    work: Works,
    size: int,
    options: EvaluationOptions,
) -> list[Task]:
    """List what each network is to compute on the images of a benchmark."""
    return [
        Task(
            verifier.backbone,
            benchmark.images,
            scorers=work[verifier.backbone.name].scorers,
            flip=options.flip,
            batch_size=size,
            precision=options.precision,
            on_bad_image=options.on_bad_image,
        )
        for verifier in verifiers
    ]


def _measure(
    tasks: Sequence[Task], benchmark: Benchmark, out: Path, options: EvaluationOptions
) -> dict[str, Measured]:
    """Embed and score the images of a benchmark with each network."""
    _say(options, *(f"{benchmark.name}: {note}" for note in benchmark.notes))
    folder = out / MEASURED / as_folder(benchmark.name)
    measured = {
        task.backbone.name: measure(
            task,
            folder / as_folder(task.backbone.name),
            command=options.command,
            progress=options.progress,
        )
        for task in tasks
    }
    if benchmark.mated is None:  # all pairs are known by who is on the images
        keep_identities(folder, benchmark.images)
    return measured


def _check_names(
    verifiers: Sequence[Verifier], benchmarks: Sequence[Benchmark]
) -> None:
    for what, names in (
        ("network", [verifier.backbone.name for verifier in verifiers]),
        ("benchmark", [benchmark.name for benchmark in benchmarks]),
    ):
        if not names:
            message = f"no {what} is given; give at least one"
            raise InputError(message)
        folders = [as_folder(name) for name in names]
        for name, folder in zip(names, folders, strict=True):
            if folders.count(folder) > 1:
                message = f"{what} {name} is given twice; give each another name"
                raise InputError(message)


def _check_qualities(
    benchmark: Benchmark,
    given: Sequence[Quality],
    work: Works,
    options: EvaluationOptions,
) -> None:
    """Raise InputError, before any work, if names clash or the reference is absent."""
    known = [*given, *from_severity(benchmark.severity)]
    for network, its in work.items():
        own = [name for scorer in its.scorers for name in scorer.names]
        every = [*from_network(dict.fromkeys(own, _NONE), network), *known]
        check_names(every)
        names = [quality.name for quality in every]
        if own and options.reference not in (None, *names):
            message = (
                f"the reference {options.reference} is none of the qualities: "
                f"{', '.join(names)}"
            )
            raise InputError(message)


def _compare_all(
    benchmark: Benchmark,
    measured: Mapping[str, Measured],
    methods: Sequence[str],
    given: Sequence[Quality],
    options: EvaluationOptions,
) -> list[Comparison]:
    """Compare the qualities of each scorer with the errors of each verifier."""
    usable = set.intersection(*(set(found.names) for found in measured.values()))
    units = usable_units(benchmark, sorted(usable))
    _say(options, *(f"{benchmark.name}: {note}" for note in units.notes))
    names = [benchmark.images.names[i] for i in units.images]
    known = [
        Quality(q.name, q.values[units.images], q.source, q.notes)
        for q in (*given, *from_severity(benchmark.severity))
    ]
    first = next(iter(measured))
    found = []
    for verifier, its in measured.items():
        pairs = units.pairs(its.embeddings[its.rows_of(names)])
        # Whose own scores are the first network's are not evaluated twice.
        for scorer in dict.fromkeys((first, verifier)):
            own = measured[scorer]
            say(*_of_rounding(f"{benchmark.name}, {scorer}", own, options))
            if scorer != first and not own.scores:
                continue
            chosen = own.rows_of(names)
            # As the methods were asked for.
            order = sorted(own.scores, key=lambda n: methods.index(n.partition("/")[0]))
            scores = {name: own.scores[name][chosen] for name in order}
            qualities = from_network(scores, scorer) + known
            check_names(qualities)
            if scorer == first and verifier == first:
                declared = known[: len(given)]
                warnings = reversed_qualities(units, pairs, declared, options)
                say(*(f"{benchmark.name}: {line}" for line in warnings))
            _say(options, f"{benchmark.name}: {verifier} verifies, {scorer} scores …")
            found.append(compare(units, pairs, qualities, verifier, scorer, options))
    return found


def _of_rounding(where: str, own: Measured, options: EvaluationOptions) -> list[str]:
    """Warn of changes of an embedding that are all rounding."""
    largest = {
        name: 2 * (1 - quality.min())
        if name.startswith(f"{PREFIQS}/")
        else -quality.min()
        for name, quality in own.scores.items()
        if name.startswith((f"{PREFIQS}/", f"{FIRST_ORDER}/"))
    }
    limit = ROUNDING_AT[options.precision]
    bad = [name for name, change in largest.items() if change <= limit]
    return [f"{where}, {listed(bad)}: {NOTHING_CHANGES}"] if bad else []


def _say(options: EvaluationOptions, *lines: str) -> None:
    if options.progress:
        say(*lines)
