"""The quality of a comparison: that of the worse of its two images.

So discarding images of low quality discards more comparisons than images: of all
comparisons of n images, q n discarded images leave about (1 - q)² of them.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.fiqa.checks import checked_quality
from prefiqs_jax.fiqa.verification.pairs import Pairs

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


def images_compared(pairs: Pairs) -> NDArray[np.integer]:
    """List the images that occur in the pairs, in order."""
    last = max(int(np.max(pairs.first)), int(np.max(pairs.second)))
    occurs = np.zeros(last + 1, np.bool_)
    occurs[pairs.first] = True
    occurs[pairs.second] = True
    return np.flatnonzero(occurs)
