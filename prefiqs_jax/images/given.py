"""Take images in any form, as a folder of them: paths, PIL images, arrays."""

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.decode import Decoded, from_pillow
from prefiqs_jax.images.folder import (
    IDENTITY_TABLE,
    ImageFolder,
    check_name,
    from_table,
    read_folder,
)
from prefiqs_jax.images.identities import from_folders
from prefiqs_jax.images.pairing import EXTENSIONS
from prefiqs_jax.images.stores import Arrays

IN_MEMORY = Path("images in memory")
"""Stands where a folder's path is, of images that have none."""

ImageSource: TypeAlias = (
    ImageFolder
    | str
    | os.PathLike[str]
    | Image.Image
    | np.ndarray
    | Sequence[Any]
    | Mapping[Any, Any]
)
"""What :func:`as_folder` takes."""


def as_folder(
    images: ImageSource,
    identity_level: int | None = None,
    *,
    identities_matter: bool = True,
) -> ImageFolder:
    """Take images in any form for a folder of images.

    Parameters
    ----------
    images
        A folder (its path, or an :class:`ImageFolder`, which is returned as it is); an
        image file, a list of such, or a pattern of their paths (``faces/*.png``); a PIL
        image or a uint8 RGB array (height, width, 3), a list of such, an array (count,
        height, width, 3), or a dict from names to any of them.
    identity_level, identities_matter
        As in :func:`prefiqs_jax.images.read_folder`, of a folder's path. Of a list of
        files, ``images.csv`` in the deepest folder that holds them all names the
        people, or else the folders below that one, if each file lies in one.

    Returns
    -------
    ImageFolder
        Images in the order given; those of a folder's path sorted. Images in memory
        are called by their name, or by their index from 0.

    Raises
    ------
    InputError
        As :func:`prefiqs_jax.images.read_folder`; if there is no image, a file is
        missing or given twice, or something is no image.

    Examples
    --------
    >>> as_folder(np.zeros((2, 112, 112, 3), np.uint8)).names
    ('0', '1')
    """
    if isinstance(images, ImageFolder):
        return images
    if isinstance(images, str | os.PathLike):
        path = Path(images)
        if path.is_file():
            return _of_files([path], identity_level)
        found = [] if path.exists() else sorted(glob.glob(str(path)))
        if found not in ([], [str(path)]):  # itself, if it is a link to nothing
            given = found if len(found) > 1 else found[0]
            return as_folder(given, identity_level, identities_matter=identities_matter)
        return read_folder(path, identity_level, identities_matter=identities_matter)
    if isinstance(images, Mapping):
        return _in_memory(images)
    if isinstance(images, Image.Image) or (
        isinstance(images, np.ndarray) and images.ndim < 4
    ):
        images = [images]
    every = list(images)
    if not every:
        message = "there is no image; give at least one"
        raise InputError(message)
    paths = [isinstance(each, str | os.PathLike) for each in every]
    if all(paths):
        return _of_files([Path(each) for each in every], identity_level)
    if any(paths):
        message = "images are files and pixels, mixed; give one or the other"
        raise InputError(message)
    digits = len(str(len(every) - 1))
    return _in_memory({f"{i:0{digits}d}": each for i, each in enumerate(every)})


def as_pixels(images: Any) -> np.ndarray:
    """Give images in memory, one or several, as one array (n, height, width, 3).

    PIL images become 8-bit RGB; InputError if one is no image, or sizes differ.
    """
    if not isinstance(images, Image.Image | Sequence):
        images = np.asarray(images)
        if images.ndim != 3:
            return images
    every = images if isinstance(images, Sequence) else [images]
    found = [_decoded(str(place), image).pixels for place, image in enumerate(every)]
    if len({pixels.shape for pixels in found}) != 1:
        message = "images are none, or of several sizes; give some of one size"
        raise InputError(message)
    return np.stack(found)


def _of_files(paths: Sequence[Path], identity_level: int | None) -> ImageFolder:
    """List image files; the folder is the deepest one that holds them all."""
    for path in paths:
        if path.suffix.lower() not in EXTENSIONS:
            known = " ".join(EXTENSIONS)
            message = f"{path} is no image by its name; known extensions are {known}"
            raise InputError(message)
        if not path.is_file():
            message = f"there is no image {path}; give image files, or their folder"
            raise InputError(message)
    whole = [Path(os.path.abspath(path)) for path in paths]
    root = Path(os.path.commonpath([path.parent for path in whole]))
    names = [path.relative_to(root).as_posix() for path in whole]
    _check_names(names)
    for name in names:
        check_name(root, name)
    notes: list[str] = []
    if identity_level is None and os.path.lexists(root / IDENTITY_TABLE):
        identities = from_table(root, names, notes, is_whole=False)
        source: str | None = IDENTITY_TABLE
    else:
        identities, source = from_folders(names, identity_level)
    if not any(identities):
        source = None
    return ImageFolder(
        root, tuple(names), identities, source, tuple(notes), is_whole=False
    )


def _in_memory(images: Mapping[Any, Any]) -> ImageFolder:
    if not images:
        message = "there is no image; give at least one"
        raise InputError(message)
    _check_names(images)
    for name in images:
        check_name(IN_MEMORY, name)
    decoded = {name: _decoded(name, image) for name, image in images.items()}
    store = Arrays(
        {name: found.pixels for name, found in decoded.items()},
        {name: found.conversions for name, found in decoded.items()},
    )
    names = tuple(decoded)
    nobody = (None,) * len(names)
    return ImageFolder(IN_MEMORY, names, nobody, None, (), store, is_whole=False)


def _decoded(name: str, image: Any) -> Decoded:
    if isinstance(image, Image.Image):
        return from_pillow(image, name)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        message = (
            f"image {name} is {pixels.dtype} of shape {pixels.shape}; give uint8 RGB "
            "of shape (height, width, 3), or a PIL image"
        )
        raise InputError(message)
    return Decoded(pixels, ())


def _check_names(names: Iterable[Any]) -> None:
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name:
            message = f"{name!r} is no name of an image; give a text"
            raise InputError(message)
        if name in seen:
            message = f"image {name} is given twice; give each once"
            raise InputError(message)
        seen.add(name)
