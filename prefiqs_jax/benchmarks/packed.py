"""insightface's .bin files: JPEG images in pairs, and which pairs are mated."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Benchmark, Comparisons
from prefiqs_jax.benchmarks.comparisons import check_kinds, counted, repeated_pairs
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.stores import Packed
from prefiqs_jax.unpickle import Array, Pairs, read_pickle
from prefiqs_jax.weights.wording import listed, naming

MAX_BYTES = 2**32
_LAYOUT = "a .bin of insightface is (images, labels), two images for each label"


def read_packed(path: Path) -> Benchmark:
    """Read a ``.bin`` of insightface: ``lfw.bin``, ``agedb_30.bin`` and so on.

    Comparison i is of images 2i and 2i + 1. Image i is called ``00042.jpg``, as in the
    folders that CR-FIQA makes of these files, so that scores of either fit. Where the
    same bytes occur more than once, they are one image, with the first name: it is
    scored once, and a bootstrap by image draws it as one. Identities are unknown.
    Nothing in the pickle is run; InputError if it holds anything else, or lacks one
    kind of comparison.
    """
    with naming(path):
        images, mated = _content(path)
    check_kinds(path, mated)
    by_name, image = _distinct(images)
    notes = []
    if len(by_name) < len(images):
        notes.append(f"{len(images):,} places hold {len(by_name):,} different images")
    comparisons = Comparisons(image[::2].copy(), image[1::2].copy(), mated)
    # A file that everybody uses as it is may be odd.
    if alone := int((comparisons.first == comparisons.second).sum()):
        what = counted(alone, "comparison")
        notes.append(f"{what} of an image with the same image")
    repeated, disagreeing = repeated_pairs(len(by_name), comparisons)
    if repeated:
        notes.append(f"{counted(repeated, 'comparison')} repeat another")
    if disagreeing:
        what = counted(len(disagreeing), "pair")
        notes.append(f"{what} of images listed both as mated and as non-mated")
    unknown = (None,) * len(by_name)
    store = Packed(by_name)
    return Benchmark(
        name=path.stem,
        kind="bin",
        images=ImageFolder(path, tuple(by_name), unknown, None, (), store),
        **comparisons._asdict(),
        identities=unknown,
        notes=tuple(notes),
    )


def _content(path: Path) -> tuple[list[bytes], Bool[np.ndarray, " comparisons"]]:
    """Read the images and the labels."""
    try:
        cure = "a benchmark holds images and labels only: get the file again"
        content = read_pickle(path, MAX_BYTES, cure)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise InputError(message) from None
    if not isinstance(content, tuple | list) or len(content) != 2:
        what = "something else"
        if isinstance(content, Pairs):
            keys = [key for key, _ in content.items if isinstance(key, str | bytes)]
            what = f"a dict ({listed(keys)})"
        message = f"is a pickle of {what}; {_LAYOUT}"
        raise InputError(message)
    images, labels = (_as_list(part) for part in content)
    if images is None or labels is None:
        part = "begin with a list of images" if images is None else "end with labels"
        message = f"does not {part}; {_LAYOUT}"
        raise InputError(message)
    # OpenCV gives encoded images as arrays; some of the published files hold them.
    data: list[Any] = [
        each.values.tobytes()
        if isinstance(each, Array) and each.values.itemsize == 1
        else each
        for each in images
    ]
    bad = [f"image {n} is no bytes" for n, x in enumerate(data) if type(x) is not bytes]
    for place, each in enumerate(labels):
        if not isinstance(each, int) or each not in (0, 1):
            bad.append(f"label {place} is no truth value")
    if len(images) != 2 * len(labels):
        has = f"has {counted(len(images), 'image')} and {counted(len(labels), 'label')}"
        bad.append(has)
    if bad:
        message = f"{bad[0]}; {_LAYOUT}"
        raise InputError(message)
    return data, np.array(labels, bool)


def _as_list(part: Any) -> list[Any] | None:
    if isinstance(part, Array):
        return part.values.tolist()
    return list(part) if isinstance(part, list | tuple) else None


def _distinct(
    images: list[bytes],
) -> tuple[dict[str, bytes], Int[np.ndarray, " images"]]:
    """Name the different images, and give the number of each one's."""
    import pandas as pd

    digests = [hashlib.sha256(data).hexdigest() for data in images]
    image, _ = pd.factorize(np.array(digests, object))
    _, places = np.unique(image, return_index=True)
    digits = max(5, len(str(len(images) - 1)))
    by_name = {f"{place:0{digits}d}.jpg": images[place] for place in places.tolist()}
    return by_name, image.astype(np.int32)
