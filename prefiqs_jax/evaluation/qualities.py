"""Qualities of a benchmark's images from all sources, in the benchmark's order.

They come from the networks at hand, from score files of others, from runs of
``prefiqs sweep``, from what is known of the images. Higher is better in all of them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, take_inventory
from prefiqs_jax.results.inventory import read_inventory
from prefiqs_jax.results.run_folder import MANIFEST
from prefiqs_jax.scorefiles import Direction, match, read_scores
from prefiqs_jax.weights.wording import listed

SEVERITY = "severity"
_MOST_MISSING = 1000


@dataclasses.dataclass(frozen=True)
class ScoreSource:
    """A score file, or the folder of a sweep, as the user names it."""

    path: Path
    name: str | None = None
    """Name of the quality; None = as the file tells, or its own name."""
    column: str | None = None
    """Column of a table with several; None = found out."""
    direction: Direction | None = None
    """Which scores are the better ones; None = as the file tells, else the higher."""


@dataclasses.dataclass(frozen=True, eq=False)
class Quality:
    """One quality of the images of one benchmark."""

    name: str
    values: Float[np.ndarray, " images"]
    """Higher = better, in the order of the images."""
    source: str
    """Where it comes from, in words."""
    notes: tuple[str, ...] = ()
    """What the user should know, one line each."""


def from_network(
    scores: Mapping[str, Float[np.ndarray, " images"]], network: str
) -> list[Quality]:
    """List the qualities that a network computed."""
    source = f"computed with {network}"
    return [Quality(name, values, source) for name, values in scores.items()]


def from_severity(severity: Float[np.ndarray, " images"] | None) -> list[Quality]:
    """Take minus the known severity for a quality, where it is known."""
    if severity is None or np.ptp(severity) == 0:
        return []
    return [Quality(SEVERITY, -severity, "known of the images")]


def from_source(source: ScoreSource, images: ImageFolder) -> list[Quality]:
    """Read a score file, or the folder of a sweep, for the images of a benchmark.

    Raises InputError if it cannot be read, images have no score or two that differ, a
    score is not finite, or a sweep was made with other content of an image; it names
    them.
    """
    if source.path.is_dir():
        _check_content(source, images)
        return _from_run(source, images.names)
    scores = read_scores(source.path, column=source.column)
    found = match(scores, images.names, direction=source.direction)
    direction = source.direction or scores.direction or "higher"
    name = source.name or scores.method or source.path.stem
    origin = f"{source.path.name}, {scores.kind}, {direction} = better there"
    return [Quality(name, found.quality, origin, found.notes)]


def _check_content(source: ScoreSource, images: ImageFolder) -> None:
    known = read_inventory(source.path)
    if known is None:
        return
    there = set(known.names)
    both = images.take(n for n, name in enumerate(images.names) if name in there)
    changed = take_inventory(both, known).changed_since(known)
    if changed:
        message = (
            f"{source.path} was made with other content of {changed[0]}; sweep these "
            "images"
        )
        raise InputError(message)


def _from_run(source: ScoreSource, names: Sequence[str]) -> list[Quality]:
    if not (source.path / MANIFEST).exists():
        message = (
            f"{source.path} is a folder and no run of prefiqs sweep; give a score "
            "file, or the folder that prefiqs sweep --out made"
        )
        raise InputError(message)
    rows = results.read(source.path)
    prefix = f"{source.name} " if source.name else ""
    origin = f"{source.path.name}, a run of prefiqs sweep"
    found = []
    for sparsity, part in rows.groupby("sparsity", sort=True):
        by_image = part.set_index("image")
        missing = [name for name in names if name not in by_image.index]
        if missing:
            message = (
                f"{source.path} has no rows of {len(missing)} of the {len(names)} "
                f"images ({listed(missing, _MOST_MISSING)}); sweep the same images"
            )
            raise InputError(message)
        ordered = by_image.loc[list(names)]
        prefiqs, first_order = ordered["quality"], -ordered["first_order"]
        for method, values in (("prefiqs", prefiqs), ("first-order", first_order)):
            name = f"{prefix}{method}/{sparsity:g}"
            found.append(Quality(name, values.to_numpy(np.float64), origin))
    return found


def check_names(qualities: Sequence[Quality]) -> None:
    """Raise InputError if two qualities have one name."""
    seen: dict[str, str] = {}
    for quality in qualities:
        if quality.name in seen:
            message = (
                f"two qualities are called {quality.name} ({seen[quality.name]}; "
                f"{quality.source}); rename one: --scores NAME=FILE"
            )
            raise InputError(message)
        seen[quality.name] = quality.source
