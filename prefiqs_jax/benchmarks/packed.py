"""insightface's .bin files: JPEG pictures in pairs, and which pairs are mated."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.comparisons import check_kinds, repeated_pairs
from prefiqs_jax.benchmarks.pickled import Numpy, array_bytes, read_pickle
from prefiqs_jax.benchmarks.wording import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.stores import Packed

_LAYOUT = "a .bin of insightface is (pictures, labels), two pictures for each label"


def read_packed(path: Path) -> Benchmark:
    """Read a ``.bin`` of insightface: ``lfw.bin``, ``agedb_30.bin`` and so on.

    Comparison i is of pictures 2i and 2i + 1. Picture i is called ``00042.jpg``, as in
    the folders that CR-FIQA makes of these files, so that scores of either fit. Where
    the same bytes occur more than once, they are one image, with the first name: it is
    scored once, and a bootstrap by image draws it as one.

    Parameters
    ----------
    path
        A pickle; nothing in it is run.

    Returns
    -------
    Benchmark
        Identities unknown.

    Raises
    ------
    InputError
        If the file is unreadable, truncated, not of this layout, holds anything but
        pictures and labels, or lacks one kind of comparison.
    """
    content = read_pickle(path)
    if not isinstance(content, tuple | list) or len(content) != 2:
        message = f"{path} is a pickle of something else; {_LAYOUT}"
        raise InputError(message)
    pictures, mated = _pictures(path, content[0]), _labels(path, content[1])
    if len(pictures) != 2 * len(mated):
        message = (
            f"{path} has {counted(len(pictures), 'picture')} and "
            f"{counted(len(mated), 'label')}; {_LAYOUT}"
        )
        raise InputError(message)
    check_kinds(path, mated)
    by_name, image = _distinct(pictures)
    names = tuple(by_name)
    notes = []
    if len(names) < len(pictures):
        notes.append(f"{len(pictures):,} places hold {len(names):,} different pictures")
    first, second = image[::2].copy(), image[1::2].copy()
    notes += _oddities(len(names), first, second, mated)
    unknown = (None,) * len(names)
    return Benchmark(
        name=path.stem,
        kind="bin",
        images=ImageFolder(path, names, unknown, None, (), Packed(by_name)),
        first=first,
        second=second,
        mated=mated,
        templates=None,
        identities=unknown,
        identity_source=None,
        severity=None,
        notes=tuple(notes),
    )


def _pictures(path: Path, values: Any) -> list[bytes]:
    if not isinstance(values, list | tuple):
        message = f"{path} does not begin with a list of pictures; {_LAYOUT}"
        raise InputError(message)
    # OpenCV gives encoded pictures as arrays; some of the published files hold them.
    pictures = [array_bytes(v) if isinstance(v, Numpy) else v for v in values]
    for place, each in enumerate(pictures):
        if not isinstance(each, bytes | bytearray):
            message = f"{path}: picture {place} is no bytes; {_LAYOUT}"
            raise InputError(message)
    return [bytes(each) for each in pictures if each is not None]


def _labels(path: Path, values: Any) -> Bool[np.ndarray, " comparisons"]:
    if isinstance(values, Numpy):
        values = list(array_bytes(values) or ())
    if not isinstance(values, list | tuple):
        message = f"{path} does not end with a list of labels; {_LAYOUT}"
        raise InputError(message)
    for place, each in enumerate(values):
        if not isinstance(each, int) or each not in (0, 1):
            message = f"{path}: label {place} is no truth value; {_LAYOUT}"
            raise InputError(message)
    return np.array(values, bool)


def _distinct(
    pictures: list[bytes],
) -> tuple[dict[str, bytes], Int[np.ndarray, " pictures"]]:
    """Name the different pictures, and give the number of each one's."""
    digits = max(5, len(str(len(pictures) - 1)))
    by_name: dict[str, bytes] = {}
    number: dict[bytes, int] = {}
    image = np.empty(len(pictures), np.int32)
    for place, data in enumerate(pictures):
        digest = hashlib.sha256(data).digest()
        if digest not in number:
            number[digest] = len(number)
            by_name[f"{place:0{digits}d}.jpg"] = data
        image[place] = number[digest]
    return by_name, image


def _oddities(
    unit_count: int,
    first: Int[np.ndarray, " comparisons"],
    second: Int[np.ndarray, " comparisons"],
    mated: Bool[np.ndarray, " comparisons"],
) -> list[str]:
    """Note what is odd in a file that everybody uses as it is."""
    notes = []
    alone = int((first == second).sum())
    if alone:
        what = counted(alone, "comparison")
        notes.append(f"{what} of a picture with the same picture")
    repeated, disagreeing = repeated_pairs(unit_count, first, second, mated)
    if repeated:
        notes.append(f"{counted(repeated, 'comparison')} repeat another")
    if disagreeing:
        what = counted(len(disagreeing), "pair")
        notes.append(f"{what} of pictures listed both as mated and as non-mated")
    return notes
