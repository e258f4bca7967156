"""Find the pictures that a list of comparisons names."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int

from prefiqs_jax.benchmarks.comparisons import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder, read_folder
from prefiqs_jax.images.folder import EXTENSIONS
from prefiqs_jax.weights.wording import listed


def picture_folder(
    source: Path,
    images: Path | None,
    usual: Sequence[str],
    identity_level: int | None = None,
) -> ImageFolder:
    """Read the folder that holds a benchmark's pictures.

    Parameters
    ----------
    source
        The file that lists the comparisons.
    images
        The folder, if the user gave one.
    usual
        Subfolders beside the file where the pictures usually are, the best first; else
        they are taken to be beside the file itself.
    identity_level
        How many folders name the person, see :func:`prefiqs_jax.images.read_folder`.

    Raises
    ------
    InputError
        As :func:`prefiqs_jax.images.read_folder` does.
    """
    if images is None:
        beside = (source.parent / name for name in usual)
        images = next((each for each in beside if each.is_dir()), source.parent)
    return read_folder(images, identity_level, identities_matter=False)


def find_pictures(
    source: Path, folder: ImageFolder, wanted: Sequence[str], *, by_stem: bool = False
) -> Int[np.ndarray, " wanted"]:
    """Give the index in a folder of every picture that is named.

    Parameters
    ----------
    source
        The file that names them, for messages.
    folder
        Pictures to look in.
    wanted
        Paths below the folder, with or without extension.
    by_stem
        Whether the file's name without extension is enough, whatever folder it is in.

    Raises
    ------
    InputError
        If pictures are absent, or a name fits several.
    """
    places = {name: place for place, name in enumerate(folder.names)}
    if all(name in places for name in wanted):
        return np.array([places[name] for name in wanted], np.int32)
    keys = [_key(name, by_stem) for name in folder.names]
    loose = dict(zip(keys, range(len(keys)), strict=True))
    several = {key for key, count in Counter(keys).items() if count > 1}
    found = np.empty(len(wanted), np.int32)
    absent = []
    for place, name in enumerate(wanted):
        if name in places:
            found[place] = places[name]
            continue
        key = _key(name, by_stem)
        if key in several:
            both = listed([n for n in folder.names if _key(n, by_stem) == key])
            message = f"{source} names {name}, which may be {both}; keep one of them"
            raise InputError(message)
        if key in loose:
            found[place] = loose[key]
        else:
            absent.append(name)
    if absent:
        message = (
            f"{source} names {counted(len(absent), 'picture')} that {folder.root} does "
            f"not hold: {listed(absent)}; give the folder that holds them with --images"
        )
        raise InputError(message)
    return found


def take_used(
    folder: ImageFolder, *places: Int[np.ndarray, " comparisons"]
) -> tuple[ImageFolder, list[Int[np.ndarray, " comparisons"]], tuple[str, ...]]:
    """Leave out the pictures that no comparison needs.

    Returns
    -------
    folder
        Only pictures that occur in `places`, in the order they had.
    places
        int32, the same pictures in the new folder.
    notes
        How many were left out.
    """
    used = np.zeros(len(folder.names), bool)
    for each in places:
        used[each] = True
    new = np.cumsum(used, dtype=np.int32) - np.int32(1)
    unused = int((~used).sum())
    notes = ()
    if unused:
        what = counted(unused, "picture")
        notes = (f"left out of {folder.root}: {what} in no comparison",)
    chosen = folder.take(np.flatnonzero(used).tolist())
    return chosen, [new[each] for each in places], notes


def _key(name: str, by_stem: bool) -> str:
    path = PurePosixPath(name)
    # A name may hold a dot and have no extension.
    if path.suffix.lower() in EXTENSIONS:
        path = path.with_suffix("")
    return path.name if by_stem else str(path)
