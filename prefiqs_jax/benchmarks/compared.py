"""Find the images that a list of comparisons names."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Comparisons
from prefiqs_jax.benchmarks.comparisons import check_comparisons, counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, read_folder
from prefiqs_jax.images.pairing import rows_named
from prefiqs_jax.weights.wording import listed

IMAGES = "give the folder that holds them with --images"


class Compared(NamedTuple):
    """The images that a list compares, and its comparisons of them."""

    images: ImageFolder
    """Only images that some comparison needs."""
    comparisons: Comparisons
    """Without those of an absent image."""
    kept: Bool[np.ndarray, " listed"]
    """Which of the comparisons given these are."""
    repeats: tuple[str, ...]
    """A note on comparisons that are listed more than once, if there are any."""
    left_out: tuple[str, ...]
    """Notes on images that no comparison needs, or that are absent, if there are any.
    """


def compared_images(
    source: Path,
    names: Sequence[str],
    comparisons: Comparisons,
    *,
    images: Path | None,
    usual: Sequence[str],
    identity_level: int | None = None,
) -> Compared:
    """Check comparisons that a file lists by name, and find their images.

    Comparisons of an image that is absent are left out, and the folder says which
    images that are; :func:`prefiqs_jax.benchmarks.read_benchmark` refuses them, unless
    told otherwise. InputError if no comparison is left.

    Parameters
    ----------
    source, names, comparisons
        The file, the paths that it names (an extension and folders may lack, see
        :func:`prefiqs_jax.images.pairing.rows_named`), and indices of them.
    images, usual
        The folder, if the user gave one; else subfolders beside the file where the
        images usually are, the best first, or else the file's own folder.
    identity_level
        See :func:`prefiqs_jax.images.read_folder`.
    """
    repeats = check_comparisons(source, names, comparisons)
    if images is None:
        beside = (source.parent / name for name in usual)
        images = next((each for each in beside if each.is_dir()), source.parent)
    folder = read_folder(images, identity_level, identities_matter=False)
    found, elsewhere = find_images(source, folder, names)
    first, second, mated = comparisons
    first, second = found[first], found[second]
    kept = (first >= 0) & (second >= 0)
    absent = tuple(names[n] for n in np.flatnonzero(found < 0).tolist())
    gone = ()
    if absent:
        what = counted(int((~kept).sum()), "comparison")
        gone = (f"left out: {what}, as {_absent(source, folder, absent)}",)
    if not kept.any():
        message = f"{_absent(source, folder, absent)}; {IMAGES}"
        raise InputError(message)
    first, second, mated = first[kept], second[kept], mated[kept]
    used, (first, second), unused = take_used(folder, first, second)
    return Compared(
        dataclasses.replace(used, absent=absent),
        Comparisons(first, second, mated),
        kept,
        repeats,
        (*elsewhere, *gone, *unused),
    )


def refuse_absent(source: Path, folder: ImageFolder) -> None:
    """Raise InputError if a list names images that its folder does not hold."""
    if folder.absent:
        message = (
            f"{_absent(source, folder, folder.absent)}; {IMAGES}, or leave their "
            "comparisons out with --on-bad-image skip"
        )
        raise InputError(message)


def _absent(source: Path, folder: ImageFolder, names: Sequence[str]) -> str:
    return (
        f"{source} names {counted(len(names), 'image')} that {folder.root} does not "
        f"hold: {listed(names)}"
    )


def find_images(
    source: Path, folder: ImageFolder, wanted: Sequence[str]
) -> tuple[Int[np.ndarray, " wanted"], tuple[str, ...]]:
    """Give the index in a folder of every image that a file names, -1 if it is absent.

    And a note, if images are of other folders there. InputError if a name fits several
    images, or an image several names.
    """
    place, notes = rows_named(source, wanted, folder.names)
    return np.array([place.get(name, -1) for name in wanted], np.int32), notes


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
