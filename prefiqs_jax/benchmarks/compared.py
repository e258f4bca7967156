"""Find the images that a list of comparisons names."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from prefiqs_jax.benchmarks.benchmark import Comparisons
from prefiqs_jax.benchmarks.comparisons import check_comparisons, counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, read_folder
from prefiqs_jax.images.folder import EXTENSIONS
from prefiqs_jax.weights.wording import listed


class Compared(NamedTuple):
    """The images that a list compares, and its comparisons of them."""

    images: ImageFolder
    """Only images that some comparison needs."""
    comparisons: Comparisons
    repeats: tuple[str, ...]
    """A note on comparisons that are listed more than once, if there are any."""
    left_out: tuple[str, ...]
    """A note on images that no comparison needs, if there are any."""


def compared_images(
    source: Path,
    names: Sequence[str],
    comparisons: Comparisons,
    *,
    images: Path | None,
    usual: Sequence[str],
    identity_level: int | None = None,
    by_stem: bool = False,
) -> Compared:
    """Check comparisons that a file lists by name, and find their images.

    Parameters
    ----------
    source, names, comparisons
        The file, the paths that it names (an extension may lack), and indices of them.
    images, usual
        The folder, if the user gave one; else subfolders beside the file where the
        images usually are, the best first, or else the file's own folder.
    identity_level
        See :func:`prefiqs_jax.images.read_folder`.
    by_stem
        Whether a name without extension is enough, whatever folder the file is in.
    """
    repeats = check_comparisons(source, names, comparisons)
    if images is None:
        beside = (source.parent / name for name in usual)
        images = next((each for each in beside if each.is_dir()), source.parent)
    folder = read_folder(images, identity_level, identities_matter=False)
    found = find_images(source, folder, names, by_stem=by_stem)
    first, second, mated = comparisons
    used, (first, second), left_out = take_used(folder, found[first], found[second])
    return Compared(used, Comparisons(first, second, mated), repeats, left_out)


def find_images(
    source: Path, folder: ImageFolder, wanted: Sequence[str], *, by_stem: bool = False
) -> Int[np.ndarray, " wanted"]:
    """Give the index in a folder of every image that a file names.

    InputError if images are absent, or a name fits several.
    """
    places = {name: place for place, name in enumerate(folder.names)}
    loose: dict[str, list[int]] = defaultdict(list)
    if not all(name in places for name in wanted):
        for place, name in enumerate(folder.names):
            loose[_key(name, by_stem)].append(place)
    found = np.empty(len(wanted), np.int32)
    absent = []
    for number, name in enumerate(wanted):
        fitting = [places[name]] if name in places else loose.get(_key(name, by_stem))
        if not fitting:
            absent.append(name)
            continue
        if len(fitting) > 1:
            both = listed([folder.names[place] for place in fitting])
            message = f"{source} names {name}, which may be {both}; keep one of them"
            raise InputError(message)
        found[number] = fitting[0]
    if absent:
        message = (
            f"{source} names {counted(len(absent), 'image')} that {folder.root} does "
            f"not hold: {listed(absent)}; give the folder that holds them with --images"
        )
        raise InputError(message)
    return found


def take_used(
    folder: ImageFolder, *places: Int[np.ndarray, " comparisons"]
) -> tuple[ImageFolder, list[Int[np.ndarray, " comparisons"]], tuple[str, ...]]:
    """Leave out the images that no comparison needs.

    Gives the smaller folder, the places (int32) of the same images in it, and a note.
    """
    used = np.zeros(len(folder.names), bool)
    for each in places:
        used[each] = True
    new = np.cumsum(used, dtype=np.int32) - np.int32(1)
    what = counted(int((~used).sum()), "image")
    notes = (f"left out of {folder.root}: {what} in no comparison",)
    chosen = folder.take(np.flatnonzero(used).tolist())
    return chosen, [new[each] for each in places], () if used.all() else notes


def _key(name: str, by_stem: bool) -> str:
    path = PurePosixPath(name)
    # A name may hold a dot and have no extension.
    if path.suffix.lower() in EXTENSIONS:
        path = path.with_suffix("")
    return path.name if by_stem else str(path)
