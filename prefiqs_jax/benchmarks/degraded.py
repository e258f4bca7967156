"""Degraded copies beside the pictures of a benchmark: quality that is known."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.wording import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.stores import Degraded, Recipe

# Degradations of one seed draw from seeds that no other one uses.
_SEEDS = 100_000_000
_GOLDEN = (5**0.5 - 1) / 2
_DIGITS = 2


def with_degraded(
    benchmark: Benchmark, copies: int = 1, *, seed: int = 0, worst: float = 1.0
) -> Benchmark:
    """Add degraded copies of every picture, made while they are loaded.

    Degradations are dealt out in turn to the pictures in a random order, so that each
    occurs as often as any other, give or take one, and no picture gets one twice.
    Severities fill (0, worst] evenly, for each degradation, too: they step by the
    golden section.

    Parameters
    ----------
    benchmark
        Of all pairs.
    copies
        Of each picture, from 1 to the number of degradations.
    seed
        Decides who gets what, and what is random in a degradation.
    worst
        Highest severity, in [0.01, 1].

    Returns
    -------
    Benchmark
        All pairs of the originals and the copies, called
        ``person/03.png~motion_blur_0.4``, each after its original; but a picture is
        not compared with its own copies. Severity is known: 0 for originals, unless
        they had one.

    Raises
    ------
    InputError
        If the benchmark lists comparisons, or a setting is out of range.
    """
    if benchmark.mated is not None or benchmark.templates is not None:
        message = (
            f"{benchmark.name} ({benchmark.kind}) lists its comparisons, in which "
            "degraded copies have no part; give a folder of pictures with identities"
        )
        raise InputError(message)
    from prefiqs_jax.images.degrade import DEGRADATIONS

    if not 1 <= copies <= len(DEGRADATIONS):
        message = (
            f"{copies} copies; give 1 to {len(DEGRADATIONS)}: one each degradation"
        )
        raise InputError(message)
    if not 0.01 <= worst <= 1:
        message = f"worst severity {worst:g}; it must be from 0.01 to 1"
        raise InputError(message)
    if seed < 0:
        message = f"seed is {seed}; it must be a whole number of at least 0"
        raise InputError(message)

    folder = benchmark.images
    recipes = deal(folder.names, list(DEGRADATIONS), copies, seed, worst)
    own = (
        np.zeros(len(folder.names))
        if benchmark.severity is None
        else benchmark.severity
    )
    names, severity, originals = [], [], []
    for place, name in enumerate(folder.names):
        made = recipes[place]
        names += [name, *made]
        severity += [own[place], *(each.severity for each in made.values())]
        originals += [place] * (1 + copies)
    together = {name: recipe for made in recipes for name, recipe in made.items()}
    images = _folder(folder, names, originals, Degraded(together, folder.store))
    what = counted(len(together), "degraded copy").replace("copys", "copies")
    return dataclasses.replace(
        benchmark,
        images=images,
        identities=images.identities,
        severity=np.array(severity),
        capture=np.array(originals, np.int32)
        if benchmark.capture is None
        else benchmark.capture[originals],
        notes=(*benchmark.notes, f"with {what}, severity up to {worst:g}, seed {seed}"),
    )


def deal(
    names: Sequence[str], known: Sequence[str], copies: int, seed: int, worst: float
) -> list[dict[str, Recipe]]:
    """Give each picture its copies' recipes, by their names.

    Parameters
    ----------
    names
        Of the pictures.
    known
        Degradations to deal out.
    copies, seed, worst
        As of :func:`with_degraded`.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(len(names),)))
    turn = np.empty(len(names), np.int64)
    turn[rng.permutation(len(names))] = np.arange(len(names))
    recipes = []
    for place, name in enumerate(names):
        made = {}
        for copy in range(copies):
            dealt = int(turn[place]) * copies + copy
            fraction = (dealt * _GOLDEN) % 1.0
            severity = round(worst * (1.0 - fraction), _DIGITS) or 10.0**-_DIGITS
            what = known[dealt % len(known)]
            key = _SEEDS * seed + place * copies + copy
            made[f"{name}~{what}_{severity:g}"] = Recipe(name, what, severity, key)
        recipes.append(made)
    return recipes


def _folder(
    folder: ImageFolder, names: list[str], originals: list[int], store: Degraded
) -> ImageFolder:
    repeated = folder.take(originals)
    return dataclasses.replace(repeated, names=tuple(names), store=store)
