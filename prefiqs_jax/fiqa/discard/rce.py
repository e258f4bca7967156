"""RCE: rank correlation of quality with the errors in which images take part."""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.fiqa.checks import checked_quality
from prefiqs_jax.fiqa.discard.discard import images_compared
from prefiqs_jax.fiqa.verification.pairs import Pairs
from prefiqs_jax.fiqa.verification.verification import (
    nearest_threshold,
    threshold_at_fmr,
)

TIES, RULES = ("margin", "harm"), ("at_most", "nearest")


class RCE(NamedTuple):
    """Rank correlation of low quality with the errors in which images take part."""

    value: float
    """Weighted rank correlation, at most 1. Of a random quality on average 0 if
    ``alpha`` is 0, and -0.2 if it is 3."""
    alpha: float
    """Exponent of the weights; 0: every image counts the same."""
    threshold: float
    """Similarity from which comparisons match."""
    image: Int[np.ndarray, " images"]
    """The images that occur in the comparisons."""
    harm: Int[np.ndarray, " images"]
    """False non-matches and false matches in which each of them takes part."""
    margin: Float[np.ndarray, " images"]
    """Highest non-mated minus lowest mated similarity; -inf without either kind."""


def rce(
    pairs: Pairs,
    image_quality: ArrayLike,
    *,
    fmr: float = 1e-3,
    threshold: float | None = None,
    alpha: float = 0.0,
    ties: str = "margin",
    rule: str = "at_most",
) -> RCE:
    """Correlate the ranks of quality and of harm over *images*, the harmful ones first.

    ρ = 1 - 6 Σ w (r_h - r_q)² / ((n² - 1) Σ w),    w = (r_h / n)^α

    An image's harm is the number of errors in which it takes part, at a fixed
    threshold. r_h ranks the n images by harm, the most harmful last; those of equal
    harm by margin (highest non-mated minus lowest mated similarity). r_q ranks them by
    quality, the lowest last. So 1 is a quality that names the harmful images.

    Parameters
    ----------
    pairs
        Comparisons.
    image_quality
        Shape (images,), higher = better.
    fmr
        False match rate of all non-mated comparisons that sets the threshold.
    threshold
        The threshold itself, instead.
    alpha
        Exponent, at least 0. The authors report 0 and 3.
    ties
        How images of equal harm are ranked: by "margin", as the authors' formula has
        it, or all with their mean rank ("harm"), as their released program does.
    rule
        Which threshold has the FMR: the lowest with "at_most" that rate, as the errors
        of verification are reported; or the non-mated similarity whose rate is
        "nearest" to it, as in their released program.

    Returns
    -------
    RCE
        The correlation, and what it was computed from.

    Raises
    ------
    InputError
        If a quality is missing or not finite, fmr is outside (0, 1), alpha is below 0,
        ties or rule are unknown, there are fewer than two images, or no non-mated
        comparison sets the threshold.

    Notes
    -----
    The defaults are the published formula; ``ties="harm", rule="nearest"`` is what the
    authors' program computes. The two differed by 0.02 in the median, 0.30 at most.
    With ``alpha=0`` and no ties it is Spearman's rank correlation. Beyond the published
    formula, ranks that are still tied are averaged, and an image that lacks one kind of
    comparison ranks as the least harmful among those of its harm. The formula is no
    correlation once there are weights or many ties: it may fall below -1.

    References
    ----------
    Wani, Babnik, Štruc & Terhörst (2026). Beyond error-vs-discard characteristic.
    IJCB, arXiv 2607.22752.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs
    >>> embeddings = [[1, 0, 0], [1, 0.1, 0], [0.05, 0, 1], [0, 1, 0], [0, 1, 0.1]]
    >>> pairs = all_pairs(embeddings, ["ann", "ann", "ann", "bob", "bob"])
    >>> found = rce(pairs, [3, 4, 1, 5, 2], fmr=0.1)
    >>> found.harm, round(found.value, 12)
    (array([1, 1, 2, 0, 0]), 0.3)
    """
    if not alpha >= 0:
        message = f"alpha={alpha} is below 0; the weights grow with the harm"
        raise InputError(message)
    check_choice("ties", ties, TIES)
    check_choice("rule", rule, RULES)
    images = images_compared(pairs)
    quality = checked_quality(image_quality, images)[images]
    if threshold is None:
        find = threshold_at_fmr if rule == "at_most" else nearest_threshold
        threshold = find(pairs.similarity[~pairs.mated], fmr)
    count = int(images[-1]) + 1
    harm = _harm(pairs, threshold, count)[images]
    margin = _margin(pairs, count)[images]
    harm_rank = (
        scipy.stats.rankdata(harm) if ties == "harm" else _rank_of_pairs(harm, margin)
    )
    quality_rank = scipy.stats.rankdata(-quality)
    total = len(images)
    weight = (harm_rank / total) ** alpha
    spread = (weight * (harm_rank - quality_rank) ** 2).sum()
    value = 1 - 6 * spread / ((total**2 - 1) * weight.sum())
    return RCE(float(value), alpha, threshold, images, harm, margin)


def _harm(pairs: Pairs, threshold: float, count: int) -> NDArray[np.intp]:
    # A false non-match is mated and below, a false match non-mated and not below.
    below = pairs.similarity < np.float64(threshold)
    wrong = below == pairs.mated
    return np.bincount(pairs.first[wrong], minlength=count) + np.bincount(
        pairs.second[wrong], minlength=count
    )


def _margin(pairs: Pairs, count: int) -> NDArray[np.float64]:
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    for side in (pairs.first, pairs.second):
        np.minimum.at(lowest, side[pairs.mated], pairs.similarity[pairs.mated])
        np.maximum.at(highest, side[~pairs.mated], pairs.similarity[~pairs.mated])
    return highest - lowest


def _rank_of_pairs(
    harm: NDArray[np.intp], margin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rank by harm, then by margin, from 1; what is still tied shares the mean rank."""
    in_order = np.unique(margin, return_inverse=True)[1]
    return scipy.stats.rankdata(harm * len(margin) + in_order)
