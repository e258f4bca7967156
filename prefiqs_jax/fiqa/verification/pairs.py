"""Comparisons of images: every image with every other one, by cosine, in blocks."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.verification.similarity import embedding_rows, unit_embeddings

MOST_IMAGES = 10_000
"""Most images whose comparisons are all listed in float64: 50 million, in 0.85 GB."""
MOST_IMAGES_SINGLE = 20_000
"""Most images whose comparisons are all listed in float32: 200 million, in 2.6 GB."""

# Numbers of one block of similarities (32 MB): far less than the list of them.
_BLOCK_NUMBERS = 2**22


class Pairs(NamedTuple):
    """Comparisons of images, one entry each."""

    first: Int[np.ndarray, " comparisons"]
    """Index of one image."""
    second: Int[np.ndarray, " comparisons"]
    """Index of the other, larger than ``first``."""
    similarity: Float[np.ndarray, " comparisons"]
    """Cosine of the two embeddings, higher = more alike."""
    mated: Bool[np.ndarray, " comparisons"]
    """Whether the two images show one identity."""


def all_pairs(
    embeddings: ArrayLike,
    identities: ArrayLike,
    *,
    chosen: ArrayLike | None = None,
    flipped: ArrayLike | None = None,
    dtype: type[np.floating] = np.float64,
) -> Pairs:
    """Compare every image with every other one.

    similarity = cosine of the two embeddings, whose norms therefore do not matter

    Parameters
    ----------
    embeddings
        Shape (images, dim), raw or of unit norm.
    identities
        Shape (images,): who is on each image; numbers or names.
    chosen
        Indices of the images to compare; all of them by default. The pairs keep the
        indices into ``embeddings``.
    flipped
        Shape (images, dim): embeddings of the images mirrored left to right; a
        similarity is then the mean of the two cosines.
    dtype
        Precision of the similarities, and of the products that make them: float64, or
        float32 for more images.

    Returns
    -------
    Pairs
        All n (n - 1) / 2 comparisons of n images, sorted by ``first``, then ``second``.
        Rounding may leave a cosine 1e-15 above 1 (1e-7 in float32).

    Raises
    ------
    InputError
        If an embedding is zero or not finite, an identity is missing, the images show
        fewer than two identities, no identity has two images, an index of ``chosen``
        does not exist or comes twice, or there are more than ``MOST_IMAGES`` images
        (``MOST_IMAGES_SINGLE`` in float32).

    Notes
    -----
    17 bytes a comparison, 13 in float32: 0.2 GB for 5000 images, 2.4 GB for the 187.6
    million of Adience's 19,370. The similarities are products of blocks of rows, so
    beside the result there are never more than 32 MB of them.

    Examples
    --------
    >>> pairs = all_pairs([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], ["ann", "ann", "bob"])
    >>> pairs.similarity, pairs.mated
    (array([1., 0., 0.]), array([ True, False, False]))
    """
    rows = embedding_rows(embeddings)
    codes = identity_codes(identities, len(rows))
    index = _chosen(chosen, len(rows), dtype)
    unit = unit_embeddings(rows, flipped, chosen=index, dtype=dtype)
    codes = codes[index]
    present, images_each = np.unique(codes, return_counts=True)
    if len(present) < 2:
        message = (
            f"{len(index)} images show {len(present)} identity: non-mated comparisons "
            "need images of at least two"
        )
        raise InputError(message)
    if images_each.max() < 2:
        message = (
            f"each of {len(index)} images shows another identity: mated comparisons "
            "need two images of one"
        )
        raise InputError(message)

    count = len(index) * (len(index) - 1) // 2
    first, second = np.empty(count, np.int32), np.empty(count, np.int32)
    similarity, mated = np.empty(count, dtype), np.empty(count, np.bool_)
    end = 0
    for start, block in _blocks(unit):
        for row in range(start, start + len(block)):
            part = slice(end, end := end + len(index) - 1 - row)
            similarity[part] = block[row - start, row - start + 1 :]
            np.equal(codes[row], codes[row + 1 :], out=mated[part])
            first[part], second[part] = index[row], index[row + 1 :]
    return Pairs(first, second, similarity, mated)


def identity_codes(identities: ArrayLike, images: int) -> NDArray[np.intp]:
    """Map each identity to a number, from 0 without gaps.

    Raises InputError if there are not as many as images, or one is None or NaN.

    >>> identity_codes(["bob", "ann", "bob"], 3)
    array([1, 0, 1])
    """
    array = np.asarray(identities)
    if array.shape != (images,):
        message = f"identities have shape {array.shape}, but must have ({images},)"
        raise InputError(message)
    if not np.issubdtype(array.dtype, np.integer):
        import pandas as pd

        missing = pd.isna(array)
        if missing.any():
            row = int(np.argmax(missing))
            message = f"identity of image {row} is missing; leave the image out"
            raise InputError(message)
    if array.dtype == object:
        array = array.astype(str)
    return np.unique(array, return_inverse=True)[1]


def _chosen(
    chosen: ArrayLike | None, images: int, dtype: type[np.floating]
) -> NDArray[np.int32]:
    index = np.arange(images) if chosen is None else np.asarray(chosen)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        message = (
            f"chosen has shape {index.shape} and type {index.dtype}, but must be a "
            "list of image indices"
        )
        raise InputError(message)
    most = MOST_IMAGES_SINGLE if dtype == np.float32 else MOST_IMAGES
    if len(index) > most:
        message = (
            f"{len(index)} images make {len(index) * (len(index) - 1) // 2} "
            f"comparisons; choose at most {MOST_IMAGES} images, or "
            f"{MOST_IMAGES_SINGLE} with dtype=np.float32"
        )
        raise InputError(message)
    odd = (index < 0) | (index >= images)
    if odd.any():
        message = f"chosen image {index[odd][0]} is outside 0 to {images - 1}"
        raise InputError(message)
    ordered = np.sort(index)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        message = f"image {twice[0]} is chosen twice; give each image once"
        raise InputError(message)
    return ordered.astype(np.int32)


def _blocks(
    unit: NDArray[np.floating],
) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """Yield the first row of each block, and its cosines with all rows from there."""
    size = max(1, _BLOCK_NUMBERS // len(unit))
    for start in range(0, len(unit), size):
        yield start, unit[start : start + size] @ unit[start:].T
