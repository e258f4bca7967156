"""What discarding the worst *images* does to the errors, and quality of a comparison.

A comparison is as good as the worse of its two images, so discarding images of low
quality discards more comparisons than images: of all comparisons of n images, q n
discarded images leave about (1 - q)² of them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.verification.pairs import Pairs
from prefiqs_jax.fiqa.verification.verification import (
    allowed_count,
    fnmr_at,
    threshold_at_fmr,
)

_BLOCK = 2**20


def pair_quality(
    image_quality: ArrayLike, pairs: Pairs
) -> Float[np.ndarray, " comparisons"]:
    """Give each comparison the lower quality of its two images.

    Parameters
    ----------
    image_quality
        Shape (images,), higher = better. Those of images without comparison are not
        looked at.
    pairs
        Comparisons; indices into the images.

    Returns
    -------
    ndarray
        Shape (comparisons,).

    Raises
    ------
    InputError
        If a quality is missing (fewer than the images) or not finite.

    References
    ----------
    Grother & Tabassi (2007). Performance of biometric quality measures. IEEE TPAMI 29.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs
    >>> pairs = all_pairs([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], ["ann", "ann", "bob"])
    >>> pair_quality([0.9, 0.2, 0.5], pairs)
    array([0.2, 0.5, 0.2])
    """
    quality = checked_quality(image_quality, images_compared(pairs))
    lowest = np.empty(len(pairs.first))
    # In blocks: for many millions, the qualities of both sides would be the memory.
    for start in range(0, len(lowest), _BLOCK):
        part = slice(start, start + _BLOCK)
        one, other = quality[pairs.first[part]], quality[pairs.second[part]]
        np.minimum(one, other, out=lowest[part])
    return lowest


class Removed(NamedTuple):
    """False non-matches before and after discarding images."""

    removed_fraction: float
    """Fraction of the false non-matches that is gone; NaN if there were none."""
    before_count: int
    """False non-matches of all mated comparisons."""
    after_count: int
    """Those left, at the same threshold."""
    fnmr_before: float
    """False non-match rate of all mated comparisons."""
    fnmr_after: float
    """Of the mated comparisons left; NaN if none is."""
    mated_before_count: int
    """All mated comparisons."""
    mated_after_count: int
    """Mated comparisons of which both images are left."""
    discarded_image_count: int
    """Images discarded, at most the fraction asked for."""
    threshold: float
    """Similarity from which comparisons match, on all images."""


def false_non_matches_removed(
    pairs: Pairs, image_quality: ArrayLike, fraction: float, *, fmr: float = 1e-3
) -> Removed:
    """Count the false non-matches that go with the lowest-quality *images*.

    The threshold is fixed: the lowest whose FMR over all images is at most ``fmr``. A
    comparison goes with either of its images.

    Parameters
    ----------
    pairs
        Comparisons, as :func:`all_pairs` lists them.
    image_quality
        Shape (images,), higher = better.
    fraction
        Fraction of the images that occur in the pairs to discard, in [0, 1). Of images
        of equal quality all stay if not all of them may go.
    fmr
        False match rate that sets the threshold, in (0, 1).

    Returns
    -------
    Removed
        Counts, rates, and the fraction of the false non-matches that is gone. A random
        quality removes 1 - (1 - q)² on average, at a discard of q of many images: the
        fraction alone is no merit; the FNMR after it is, against the one before.

    Raises
    ------
    InputError
        If a quality is missing or not finite, the fraction or fmr is out of range, or
        one kind of comparison is missing.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs
    >>> embeddings = [[1, 0, 0], [1, 0.1, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0.1]]
    >>> pairs = all_pairs(embeddings, ["ann", "ann", "ann", "bob", "bob"])
    >>> found = false_non_matches_removed(pairs, [3, 3, 0, 2, 2], 0.2, fmr=0.1)
    >>> found.before_count, found.after_count, found.removed_fraction
    (2, 0, 1.0)
    """
    if not 0 <= fraction < 1:
        message = f"fraction={fraction} of images is outside [0, 1)"
        raise InputError(message)
    images = images_compared(pairs)
    quality = checked_quality(image_quality, images)
    threshold = threshold_at_fmr(pairs.similarity[~pairs.mated], fmr)
    mated_similarity = pairs.similarity[pairs.mated]
    fnmr_before = fnmr_at(mated_similarity, threshold)

    in_order = np.sort(quality[images])
    cut = in_order[allowed_count(fraction, len(images))]
    kept = quality >= cut
    both_kept = (kept[pairs.first] & kept[pairs.second])[pairs.mated]
    is_error = mated_similarity < threshold
    before, after = int(is_error.sum()), int((is_error & both_kept).sum())
    left = int(both_kept.sum())
    return Removed(
        removed_fraction=1 - after / before if before else float("nan"),
        before_count=before,
        after_count=after,
        fnmr_before=fnmr_before,
        fnmr_after=after / left if left else float("nan"),
        mated_before_count=len(mated_similarity),
        mated_after_count=left,
        discarded_image_count=int(np.searchsorted(in_order, cut)),
        threshold=threshold,
    )


def images_compared(pairs: Pairs) -> NDArray[np.integer]:
    """List the images that occur in the pairs, in order."""
    last = max(int(np.max(pairs.first)), int(np.max(pairs.second)))
    occurs = np.zeros(last + 1, np.bool_)
    occurs[pairs.first] = True
    occurs[pairs.second] = True
    return np.flatnonzero(occurs)


def checked_quality(
    image_quality: ArrayLike, images: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return one quality per image, finite for those listed, or raise InputError."""
    quality = np.asarray(image_quality, np.float64)
    if quality.ndim != 1 or len(quality) <= images[-1]:
        message = (
            f"image_quality has shape {quality.shape}, but the pairs have images up "
            f"to index {images[-1]}; give one quality per image"
        )
        raise InputError(message)
    odd = images[~np.isfinite(quality[images])]
    if len(odd):
        message = (
            f"image_quality[{odd[0]}] is {quality[odd[0]]}, but must be finite; leave "
            "the image out, or give it a value on purpose"
        )
        raise InputError(message)
    return quality
