"""Degraded copies beside the images of a benchmark: quality that is known."""

import dataclasses
import re

import numpy as np

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.comparisons import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.stores import Degraded, Recipe

# Degradations of one seed draw from seeds that no other one uses.
_SEEDS = 100_000_000
_GOLDEN = (5**0.5 - 1) / 2
_DIGITS = 2
_COPY = re.compile(r"(.+)~([a-z_]+)_(0\.\d+|1)", re.DOTALL)


def with_degraded(
    benchmark: Benchmark, copies: int = 1, *, seed: int = 0, worst: float = 1.0
) -> Benchmark:
    """Add degraded copies of every image, made while they are loaded.

    Degradations are dealt out in turn to the images in a random order, so that each
    occurs as often as any other, give or take one, and no image gets one twice.
    Severities fill (0, worst] evenly, for each degradation, too: they step by the
    golden section.

    Parameters
    ----------
    benchmark
        A benchmark of all pairs.
    copies
        Copies of each image, from 1 to the number of degradations.
    seed
        Decides who gets what, and what is random in a degradation.
    worst
        Highest severity, in [0.01, 1].

    Returns
    -------
    Benchmark
        All pairs of the originals and the copies, called
        ``person/03.png~motion_blur_0.4``, each after its original; but an image is
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
            "degraded copies have no part; give a folder of images with identities"
        )
        raise InputError(message)
    images, severity, originals = degraded_folder(
        benchmark.images, copies, seed=seed, worst=worst
    )
    if benchmark.severity is not None:
        own = benchmark.severity[originals]
        severity = np.where(severity > 0, severity, own)
    count = len(originals) - len(benchmark.images.names)
    what = counted(count, "degraded copy").replace("copys", "copies")
    return dataclasses.replace(
        benchmark,
        images=images,
        identities=images.identities,
        severity=severity,
        capture=originals.astype(np.int32)
        if benchmark.capture is None
        else benchmark.capture[originals],
        notes=(*benchmark.notes, f"with {what}, severity up to {worst:g}, seed {seed}"),
    )


def degraded_folder(
    folder: ImageFolder, copies: int = 1, *, seed: int = 0, worst: float = 1.0
) -> tuple[ImageFolder, np.ndarray, np.ndarray]:
    """Add degraded copies to a folder, as :func:`with_degraded` does to a benchmark.

    Parameters
    ----------
    folder
        Folder of the original images.
    copies, seed, worst
        As of :func:`with_degraded`.

    Returns
    -------
    folder : ImageFolder
        Originals and copies, called ``person/03.png~motion_blur_0.4``: a name that no
        file has, and that :func:`copy_named` reads.
    severity : ndarray
        Shape (images,), 0 for originals.
    originals : ndarray
        Shape (images,): place of each image's original in the folder given.

    Raises
    ------
    InputError
        If a setting is out of range.
    """
    from prefiqs_jax.images.degrade import DEGRADATIONS

    most = len(DEGRADATIONS)
    too_many = f"{copies} copies; give 1 to {most}: one each degradation"
    for fits, message in (
        (1 <= copies <= most, too_many),
        (0.01 <= worst <= 1, f"worst severity {worst:g}; it must be from 0.01 to 1"),
        (seed >= 0, f"seed is {seed}; it must be a whole number of at least 0"),
    ):
        if not fits:
            raise InputError(message)
    count, known = len(folder.names), list(DEGRADATIONS)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(count,)))
    turns = np.argsort(rng.permutation(count)).tolist()
    names: list[str] = []
    recipes: dict[str, Recipe] = {}
    for place, (name, turn) in enumerate(zip(folder.names, turns, strict=True)):
        names.append(name)
        for copy in range(copies):
            dealt = turn * copies + copy
            fraction = (dealt * _GOLDEN) % 1.0
            level = round(worst * (1.0 - fraction), _DIGITS) or 10.0**-_DIGITS
            what = known[dealt % most]
            key = _SEEDS * seed + place * copies + copy
            names.append(f"{name}~{what}_{level:g}")
            recipes[names[-1]] = Recipe(name, what, level, key)
    originals = np.repeat(np.arange(count), 1 + copies)
    images = dataclasses.replace(
        folder.take(originals.tolist()),
        names=tuple(names),
        store=Degraded(recipes, folder.store),
    )
    severity = [recipes[n].severity if n in recipes else 0.0 for n in names]
    return images, np.array(severity), originals


def copy_named(name: str) -> tuple[str, str, float] | None:
    """Read original, degradation and severity from the name of a copy.

    Returns
    -------
    tuple or None
        None if the name is an original's: those end in the extension of a file.

    Examples
    --------
    >>> copy_named("person/03.png~motion_blur_0.4")
    ('person/03.png', 'motion_blur', 0.4)
    >>> copy_named("person/03~motion_blur_0.4.png") is None
    True
    """
    found = _COPY.fullmatch(name)
    return (found[1], found[2], float(found[3])) if found else None
