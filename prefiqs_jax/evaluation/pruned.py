"""Verification with pruned networks: how much recognition is left at each sparsity."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.benchmarks import Benchmark
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.folder import PRUNED
from prefiqs_jax.evaluation.measure import Measured, Pruned, Task, embedder, measure
from prefiqs_jax.evaluation.options import EvaluationOptions
from prefiqs_jax.evaluation.units import Units, usable_units
from prefiqs_jax.fiqa import (
    Pairs,
    accuracy_interval,
    edc_replicates,
    equal_error_rate,
    error_evidence,
    fold_accuracies,
    operating_point,
)
from prefiqs_jax.fiqa.bootstrap.intervals import interval
from prefiqs_jax.fiqa.discard.edc import quiet_edc
from prefiqs_jax.quality.forwards import pruned_params
from prefiqs_jax.quality.make import PreparedMask
from prefiqs_jax.statistics import ROUNDING_AT
from prefiqs_jax.terminal import say
from prefiqs_jax.trees import params_digest

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 10
_LEVEL = 0.95
_NO_ACCURACY: dict[str, float] = dict.fromkeys(
    ("accuracy", "accuracy_low", "accuracy_high"), np.nan
)


class Errors(NamedTuple):
    """Errors of one network on the comparisons of a benchmark."""

    rows: list[dict[str, Any]]
    """One for each false match rate."""
    replicates: list[Float[np.ndarray, " draws"]]
    """FNMR at each rate, then on its replicates; empty without intervals."""
    method: Any
    """How these are made."""


def verify_pruned(
    dense: Task,
    prepared: PreparedMask,
    benchmark: Benchmark,
    measured: Mapping[str, Measured],
    out: Path,
    options: EvaluationOptions,
) -> "pd.DataFrame":
    """Measure the errors of a network as it is, and pruned to each sparsity.

    Parameters
    ----------
    dense
        What the network computes without pruning, on the benchmark's images.
    prepared
        Mask, ranked for the network. A sparsity at which it takes nothing is left out.
    benchmark, measured
        What is compared, and what each network gave; images that one of them left out
        are compared by none.
    out
        Folder of the evaluation, see :data:`prefiqs_jax.evaluation.folder.PRUNED`.
    options
        How to run and to compare.

    Returns
    -------
    pandas.DataFrame
        A row for each sparsity and false match rate; sparsity 0 is the dense network.
        ``accuracy`` is that of :func:`prefiqs_jax.fiqa.accuracy` in ten folds where
        images are compared as a list has them, else NaN; its ends are NaN, too, where
        somebody is in two folds, or people are not known. ``low`` and ``high`` are of
        FNMR; ``difference`` is FNMR minus that of the dense network, NaN where other
        images were left out. Intervals are those of the qualities, each by itself; NaN
        where errors are too few (``tells``). Where all images have one embedding, but
        for rounding, all comparisons are taken as alike.

    Raises
    ------
    InputError
        If an image cannot be used, or the folder holds something else.
    """
    import pandas as pd

    name = dense.backbone.name
    usable = set.intersection(*(set(found.names) for found in measured.values()))
    whole = usable_units(benchmark, sorted(usable))
    first = _errors(whole, _pairs(whole, measured[name]), options)
    tables = [_table(first, first, 0.0, 0.0)]
    folder = out / PRUNED / as_folder(benchmark.name) / as_folder(name)
    for sparsity, achieved, found in _measured(
        dense, prepared, measured[name], folder, options
    ):
        lost = usable - set(found.names)
        units = usable_units(benchmark, sorted(usable - lost)) if lost else whole
        pairs = _pairs(units, found)
        if _is_dead(found, options):
            say(
                f"{benchmark.name}, {name} pruned by {prepared.named.name} at sparsity "
                f"{sparsity:g}: all images have one embedding, but for rounding, so "
                "that all comparisons are taken as alike"
            )
            pairs = pairs._replace(similarity=np.ones_like(pairs.similarity))
        errors = _errors(units, pairs, options)
        against = None if lost else first
        tables.append(_table(errors, against, sparsity, achieved))
    table = pd.concat(tables, ignore_index=True)
    who = (benchmark.name, benchmark.kind, name, prepared.named.name)
    for place, column in enumerate(("benchmark", "kind", "verifier", "mask")):
        table.insert(place, column, who[place])
    return table


def _measured(
    dense: Task,
    prepared: PreparedMask,
    known: Measured,
    folder: Path,
    options: EvaluationOptions,
) -> Iterator[tuple[float, float, Measured]]:
    """Embed the images by one pruned copy after the other, or read what there is."""
    named, packed = prepared
    prune = pruned_params(dense.backbone.params, packed)
    images = dense.images
    if len(known.names) < len(images.names):  # what cannot be used is said once
        taken = set(known.names)
        images = images.take(n for n, name in enumerate(images.names) if name in taken)
    embed = embedder(dense)
    levels = zip(packed.sparsities, packed.achieved, strict=True)
    for index, (sparsity, achieved) in enumerate(levels):
        if not achieved:
            continue
        params = prune(index)
        identity = {
            **named.describe(),
            "sparsity": sparsity,
            # Of the same weights, what is left of them tells the masks apart.
            "masks_sha256": params_digest(params),
        }
        pruned = Pruned(params, f"{named.name} {sparsity:g}", identity)
        task = dataclasses.replace(dense, images=images, scorers=(), pruned=pruned)
        found = measure(
            task,
            folder / f"{sparsity:g}",
            command=options.command,
            progress=options.progress,
            embed=embed,
        )
        yield sparsity, achieved, found


def _pairs(units: Units, found: Measured) -> Pairs:
    names = [units.benchmark.images.names[i] for i in units.images]
    return units.pairs(found.embeddings[found.rows_of(names)])


def _is_dead(found: Measured, options: EvaluationOptions) -> bool:
    """Return whether nothing but rounding tells the images apart."""
    spread = np.linalg.norm(np.ptp(found.embeddings, axis=0))
    return bool(spread <= ROUNDING_AT[options.precision])


def _errors(units: Units, pairs: Pairs, options: EvaluationOptions) -> Errors:
    """Compute error rates, the same on replicates, and the accuracy."""
    similarity, mated = pairs.similarity, pairs.mated
    is_list = units.first is not None and units.members is None
    rates = accuracy_with_interval(pairs, units.identities) if is_list else _NO_ACCURACY
    shared = rates | {"eer": equal_error_rate(similarity, mated)}
    rows = []
    for rate in options.fmr:
        # Nothing is discarded, so any quality will do.
        curve = quiet_edc(
            similarity, mated, np.zeros(len(mated)), rate, None, None, "fiqat"
        )
        tells = error_evidence(pairs, units.identities, curve).tells
        point = operating_point(similarity, mated, rate)._asdict()
        rows.append({**shared, **point, "tells": tells})
    if not options.replicates:
        return Errors(rows, [], None)
    found = edc_replicates(
        pairs,
        units.identities,
        {"any": np.zeros(len(units.kept))},
        fmrs=options.fmr,
        protocols=("fiqat",),
        discard_fraction=(0.0,),
        replicates=options.replicates,
        seed=options.seed,
    )
    return Errors(rows, [part.fnmr[0, :, 0] for part in found], found[0].method)


def accuracy_with_interval(
    pairs: Pairs, identities: NDArray | None
) -> dict[str, float]:
    """Compute the accuracy of a list of images' pairs, and its interval over folds.

    NaN where there are fewer pairs than folds; its ends, where somebody is in two folds
    or people (``identities``, one an image; None = unknown) are not known.
    """
    if len(pairs.mated) < FOLDS:
        return _NO_ACCURACY
    rates = fold_accuracies(pairs.similarity, pairs.mated, FOLDS)
    ends = (np.nan, np.nan)
    if identities is not None:
        who = identities[np.stack([pairs.first, pairs.second])]
        folds = [set(each.ravel()) for each in np.array_split(who, FOLDS, axis=1)]
        if sum(map(len, folds)) == len(set.union(*folds)):  # nobody is in two
            ends = accuracy_interval(rates, _LEVEL)
    return dict(zip(_NO_ACCURACY, (float(rates.mean()), *ends), strict=True))


def _table(
    errors: Errors, dense: Errors | None, sparsity: float, achieved: float
) -> "pd.DataFrame":
    """Tabulate the errors, with intervals, and their differences from the dense."""
    import pandas as pd

    table = pd.DataFrame(errors.rows)
    table.insert(0, "sparsity", sparsity)
    table.insert(1, "achieved_sparsity", achieved)
    columns = ("low", "high", "difference", "difference_low", "difference_high")
    ends = np.full((len(table), len(columns)), np.nan)
    for row, own in enumerate(errors.rows):
        if dense is not None:
            ends[row, 2] = own["fnmr"] - dense.rows[row]["fnmr"]
        if not errors.replicates or not own["tells"]:
            continue
        values = errors.replicates[row]
        ends[row, :2] = interval(values, _LEVEL, errors.method, "rate")[1:]
        if dense is not None and dense is not errors:
            change = values - dense.replicates[row]
            ends[row, 3:] = interval(change, _LEVEL, errors.method, "difference")[1:]
    return table.assign(**dict(zip(columns, ends.T, strict=True)))
