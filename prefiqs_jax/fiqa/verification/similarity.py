"""Similarities of listed comparisons, from embeddings, in blocks and threads.

An embedding of 512 numbers is 2 KB, a comparison reads two of them, and 15 million
comparisons 64 GB: the work is to read memory. So rows are never copied but a block at a
time, into a space that the processor's cache holds, and every core reads.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.threads import in_threads
from prefiqs_jax.fiqa.ordering import stable_order

# Numbers of the rows that a thread copies at once: 2 × 256 KB, within a core's cache.
_BLOCK_NUMBERS = 2**16
# Comparisons that a thread takes at once; so many that starting it costs nothing.
_SHARE = 2**16
# What a processor's cache may hold; rows that fit are read in any order.
_CACHE_BYTES = 2**24
# Norms whose squares neither under- nor overflow in float64.
_SAFE = (1e-140, 1e140)


def unit_embeddings(
    embeddings: ArrayLike,
    flipped: ArrayLike | None = None,
    *,
    chosen: NDArray[np.integer] | None = None,
    dtype: type[np.floating] = np.float32,
) -> Float[np.ndarray, "images dim"]:
    """Scale embeddings to norm 1, each joined to that of the mirrored image if given.

    u = e / ‖e‖, or with e' of the mirrored image (e / ‖e‖, e' / ‖e'‖) / √2

    Parameters
    ----------
    embeddings
        Shape (images, dim), raw or of any norm.
    flipped
        Shape (images, dim): embeddings of the images mirrored left to right.
    chosen
        Shape (chosen,): rows to scale; all of them by default.
    dtype
        Precision of the result; norms are computed in float64.

    Returns
    -------
    ndarray
        Shape (images, dim), or (images, 2 dim) with ``flipped``: the product of two
        rows is then the mean of the cosines of the two halves.

    Raises
    ------
    InputError
        If an embedding is zero or not finite, or the shapes do not fit.

    References
    ----------
    Boutros et al. (2023). CR-FIQA. CVPR, arXiv 2112.06592; its evaluation code joins
    the two halves as this does.

    Examples
    --------
    >>> unit_embeddings([[3.0, 4.0]], [[0.0, 2.0]], dtype=np.float64).round(3)
    array([[0.424, 0.566, 0.   , 0.707]])
    """
    rows = embedding_rows(embeddings)
    index = np.arange(len(rows)) if chosen is None else chosen
    if flipped is None:
        return _unit(rows, index, np.empty((len(index), rows.shape[1]), dtype))
    mirrored = embedding_rows(flipped)
    if mirrored.shape != rows.shape:
        message = (
            f"flipped has shape {mirrored.shape}, embeddings {rows.shape}; give one "
            "mirrored embedding for each image"
        )
        raise InputError(message)
    dim = rows.shape[1]
    joined = np.empty((len(index), 2 * dim), dtype)
    _unit(rows, index, joined[:, :dim], np.sqrt(0.5))
    _unit(mirrored, index, joined[:, dim:], np.sqrt(0.5), "flipped embedding")
    return joined


def pair_similarity(
    unit: NDArray[np.floating],
    first: ArrayLike,
    second: ArrayLike,
    *,
    threads: int | None = None,
) -> Float[np.ndarray, " comparisons"]:
    """Compute the cosines of listed comparisons.

    Parameters
    ----------
    unit
        Shape (images, dim): rows of norm 1, of :func:`unit_embeddings` or
        :func:`pool_templates`; float32 reads half as much memory as float64.
    first, second
        Shape (comparisons,): rows of either side, whole numbers.
    threads
        How many; by default, as many as there are cores to use.

    Returns
    -------
    ndarray
        Shape (comparisons,), in the precision of ``unit``. In float32 a cosine is off
        by about 1e-7.

    Raises
    ------
    InputError
        If the lists differ in length, or name a row that does not exist.

    Notes
    -----
    Work goes in the order of ``first``, whose rows are then read once and stay in the
    cache; a list that is not in that order is sorted on the way, 16 bytes a comparison.

    Examples
    --------
    >>> unit = unit_embeddings([[1, 0], [2, 0], [0, 3]])
    >>> pair_similarity(unit, [0, 0], [1, 2])
    array([1., 0.], dtype=float32)
    """
    rows = np.ascontiguousarray(embedding_rows(unit))
    one = _index("first", first, len(rows))
    other = _index("second", second, len(rows))
    if len(one) != len(other):
        message = f"first has {len(one)} comparisons, second {len(other)}; give as many"
        raise InputError(message)
    similarity = np.empty(len(one), rows.dtype)
    order = None
    if rows.nbytes > _CACHE_BYTES and (one[1:] < one[:-1]).any():
        order = stable_order(one, len(rows))

    def work(start: int) -> None:
        part = slice(start, start + _SHARE)
        if order is None:
            _products(rows, one[part], other[part], similarity[part])
        else:
            listed = order[part]
            found = np.empty(len(listed), rows.dtype)
            _products(rows, one[listed], other[listed], found)
            similarity[listed] = found

    in_threads(work, range(0, len(one), _SHARE), threads)
    return similarity


def _products(
    rows: NDArray[np.floating],
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    out: NDArray[np.floating],
) -> None:
    size = max(1, _BLOCK_NUMBERS // rows.shape[1])
    left = np.empty((size, rows.shape[1]), rows.dtype)
    right = np.empty_like(left)
    for start in range(0, len(first), size):
        end = min(start + size, len(first))
        a, b = left[: end - start], right[: end - start]
        # "clip" copies straight into place; the indices are known to be inside.
        np.take(rows, first[start:end], axis=0, out=a, mode="clip")
        np.take(rows, second[start:end], axis=0, out=b, mode="clip")
        np.vecdot(a, b, out=out[start:end])


def embedding_rows(embeddings: ArrayLike) -> NDArray[np.floating]:
    """Return embeddings, shape (images, dim), in float32 or float64."""
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or 0 in rows.shape:
        message = f"embeddings have shape {rows.shape}, but must have (images, dim)"
        raise InputError(message)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    return rows


def _index(name: str, values: ArrayLike, images: int) -> NDArray[np.integer]:
    index = np.asarray(values)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer) or not index.size:
        message = f"{name} must list whole numbers, rows of the embeddings, one or more"
        raise InputError(message)
    lowest, highest = int(index.min()), int(index.max())
    if lowest < 0 or highest >= images:
        odd = lowest if lowest < 0 else highest
        message = f"{name} has row {odd}, but there are embeddings 0 to {images - 1}"
        raise InputError(message)
    return index


def _unit(
    rows: NDArray[np.floating],
    index: NDArray[np.integer],
    out: NDArray[np.floating],
    scale: float = 1.0,
    what: str = "embedding",
) -> NDArray[np.floating]:
    size = max(1, _BLOCK_NUMBERS // rows.shape[1])

    def work(start: int) -> None:
        part = slice(start, start + size)
        block = rows[index[part]].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.sqrt(np.vecdot(block, block))
        for row in np.flatnonzero(~((norm > _SAFE[0]) & (norm < _SAFE[1]))):
            # By the largest entry first, so that no square under- or overflows.
            largest = np.abs(block[row]).max()
            if not np.isfinite(largest) or largest == 0:
                found = "zero" if largest == 0 else "not finite"
                image = index[part][row]
                message = f"{what} of image {image} is {found}; leave the image out"
                raise InputError(message)
            block[row] /= largest
            norm[row] = np.linalg.norm(block[row])
        np.multiply(block, (scale / norm)[:, None], out=out[part], casting="same_kind")

    starts = range(0, len(index), size)
    in_threads(work, starts, 1 if len(starts) == 1 else None)
    return out
